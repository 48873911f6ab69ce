"""Prediction by SLEX-Net: whole stacks of slices, cut into tiles only in the plane."""

import itertools

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from pipeline.errors import ModelBundleError
from pipeline.model_bundle import ModelBundle
from pipeline.model_card import ModelCard
from pipeline.resampling import canonical_grid, resample_map, resample_volume
from pipeline.segmentation.head_crop import crop_grid, head_box
from pipeline.segmentation.inference_options import InferenceOptions
from pipeline.segmentation.networks.slex_net import SlexNet
from pipeline.segmentation.predictor import ClassMaps, OnProgress, ignore_progress
from pipeline.segmentation.predictors import load_network
from pipeline.segmentation.sampling import normalise
from pipeline.segmentation.sliding_window import tile_starts, tile_weight
from pipeline.volume import AIR_HU, CtVolume


class SlexPredictor:
    """SLEX-Net run over all slices of a resampled volume, with its uncertainty.

    Of the card's patch only the size in the plane counts: every slice is a target and sees
    its two neighbours, however many there are. A head that fits into the patch is one tile.

    Parameters
    ----------
    card : ModelCard
        Card of a segmentation model.
    network : SlexNet
        Weights loaded.
    options : InferenceOptions
        Device, overlap of tiles, mirrored copies.
    """

    def __init__(self, card: ModelCard, network: SlexNet, options: InferenceOptions) -> None:
        assert card.spacing_zyx_mm is not None  # noqa: S101  the card has checked these three
        assert card.patch_size_zyx is not None  # noqa: S101
        assert card.intensity is not None  # noqa: S101
        self._spacing = card.spacing_zyx_mm
        self._intensity = card.intensity
        self._tile_yx = card.patch_size_zyx[1:]
        self._air = float(normalise(np.float32(card.intensity.clip_low_hu), card.intensity))
        self._options = options
        self._bfloat16 = options.computes_bfloat16
        # oneDNN's 2D convolutions are faster so, above all in bfloat16.
        network = network.to(options.device).to(memory_format=torch.channels_last).eval()
        self._segment = (
            torch.compile(network.segment_stack) if options.compiled else network.segment_stack
        )

    def warm_up(self) -> None:
        """Run the network once on a triplet of air."""
        self._maps(np.full((3, *self._tile_yx), AIR_HU, dtype=np.float32), ignore_progress)

    def predict(self, volume: CtVolume, *, on_progress: OnProgress = ignore_progress) -> ClassMaps:
        """Return the probability of hematoma and the entropy on the volume's own grid."""
        grid = canonical_grid(volume.grid, self._spacing)
        hu = resample_volume(volume, grid)
        box = head_box(hu)
        inner = crop_grid(grid, box)
        hematoma, entropy = (
            resample_map(values, inner, volume.grid) for values in self._maps(hu[box], on_progress)
        )
        on_progress(1.0)
        return ClassMaps(hematoma_zyx=hematoma, entropy_zyx=entropy)

    def _maps(
        self, hu_zyx: NDArray[np.float32], on_progress: OnProgress
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return probability and entropy on the network's grid, (Z, Y, X) each."""
        image = torch.from_numpy(normalise(hu_zyx, self._intensity)).to(self._options.device)
        with torch.inference_mode():
            totals = self._over_tiles(image, on_progress).float().cpu()
        probability = torch.sigmoid(totals[0])
        return probability.numpy(), totals[1].numpy()

    def _over_tiles(self, image: Tensor, on_progress: OnProgress) -> Tensor:
        """Return the logit of hematoma and the entropy, (2, Z, Y, X), weighted over tiles."""
        (above, below), (left, right) = (
            _lacking(size, tile) for size, tile in zip(image.shape[1:], self._tile_yx, strict=True)
        )
        padded = functional.pad(image, (left, right, above, below), value=self._air)
        places = [
            (slice(y, y + self._tile_yx[0]), slice(x, x + self._tile_yx[1]))
            for y, x in itertools.product(
                *(
                    tile_starts(size, tile, self._options.step)
                    for size, tile in zip(padded.shape[1:], self._tile_yx, strict=True)
                )
            )
        ]
        weight = tile_weight((1, *self._tile_yx))[0].to(padded)
        totals = padded.new_zeros((2, *padded.shape))
        weights = padded.new_zeros(padded.shape[1:])
        for done, (rows, columns) in enumerate(places, start=1):
            totals[:, :, rows, columns] += weight * self._mirrored(padded[:, rows, columns])
            weights[rows, columns] += weight
            on_progress(done / (len(places) + 1))
        mean = totals / weights
        return mean[:, :, above : above + image.shape[1], left : left + image.shape[2]]

    def _mirrored(self, tile: Tensor) -> Tensor:
        """Return logit and entropy of a tile (Z, Y, X), averaged over mirrored copies."""
        axes = self._options.mirror_axes
        copies = [
            chosen
            for count in range(len(axes) + 1)
            for chosen in itertools.combinations(axes, count)
        ]
        total = tile.new_zeros((2, *tile.shape))
        for chosen in copies:
            with torch.autocast(tile.device.type, torch.bfloat16, enabled=self._bfloat16):
                logits, entropy = self._segment(tile.flip(chosen)[None, None])
            maps = torch.stack([logits[0, 1] - logits[0, 0], entropy[0]])
            total += maps.flip([axis + 1 for axis in chosen])
        return total / len(copies)


def slex_predictor(bundle: ModelBundle, options: InferenceOptions) -> SlexPredictor:
    """Return the predictor of a SLEX-Net bundle.

    Raises
    ------
    ModelBundleError
        If the bundle holds another network or weights that do not fit it.
    """
    network = load_network(bundle)
    if not isinstance(network, SlexNet):
        raise ModelBundleError(f"{bundle.card.architecture} is not run as SLEX-Net")
    return SlexPredictor(bundle.card, network, options)


def _lacking(size: int, tile: int) -> tuple[int, int]:
    """Return what a size lacks to a tile's, before and after."""
    lacking = max(tile - size, 0)
    return lacking // 2, lacking - lacking // 2
