"""Prediction on a regular grid, tile by tile: the way of every U-shaped network."""

from types import MappingProxyType

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.finding import Compartment
from pipeline.model_bundle import ModelBundle
from pipeline.model_card import ModelCard
from pipeline.segmentation.device_memory import WithinMemory
from pipeline.segmentation.head_crop import Box, box_of_head
from pipeline.segmentation.inference_options import InferenceOptions
from pipeline.segmentation.predictor import ClassMaps, OnProgress, ignore_progress
from pipeline.segmentation.predictors import load_network
from pipeline.segmentation.prepared_network import PreparedNetwork
from pipeline.segmentation.sampling import Sampled, normalise, sample, sample_like_nnunet
from pipeline.segmentation.sliding_window import SlidingWindow, TiledLogits, predict_logits
from pipeline.volume import CtVolume

__all__ = ["TiledPredictor", "normalise", "tiled_predictor"]

#: Logit of the background, over every other class, where no tile was run.
SURE_BACKGROUND = 20.0

#: Share of the work that is done when the last tile is; the rest is the way back.
_NETWORK_SHARE = 0.95


class TiledPredictor:
    """A network run over overlapping tiles of a resampled volume.

    Parameters
    ----------
    card : ModelCard
        Card of a segmentation model.
    network : nn.Module
        From tiles (N, 1, Z, Y, X) to class logits (N, C, Z, Y, X); altered in place.
    options : InferenceOptions
        Device, overlap of tiles, mirrored copies.
    """

    def __init__(
        self, card: ModelCard, network: torch.nn.Module, options: InferenceOptions
    ) -> None:
        assert card.spacing_zyx_mm is not None  # noqa: S101  the card has checked these three
        assert card.patch_size_zyx is not None  # noqa: S101
        assert card.intensity is not None  # noqa: S101
        self._spacing = card.spacing_zyx_mm
        self._intensity = card.intensity
        self._class_names = card.class_names
        self._options = options
        self._network = PreparedNetwork(network, options)
        is_nnunet = card.sampling == "nnunet"
        self._sample = sample_like_nnunet if is_nnunet else sample
        air = normalise(np.float32(card.intensity.clip_low_hu), card.intensity)
        self._window = SlidingWindow(
            tile_zyx=card.patch_size_zyx,
            step=options.step,
            mirror_axes=options.mirror_axes,
            padding_value=0.0 if is_nnunet else float(air),
            repeats_end_slices=not is_nnunet,
        )
        self._batches = WithinMemory(options.device, options.batch)

    def warm_up(self) -> None:
        """Run the network once on a tile of air."""
        with torch.inference_mode():
            air = torch.full(self._window.tile_zyx, self._window.padding_value)
            self._batches.run(self._window, lambda window: self._tiled(air, window))

    def predict(self, volume: CtVolume, *, on_progress: OnProgress = ignore_progress) -> ClassMaps:
        """Return the probability of hematoma on the volume's own grid.

        A network of more than two classes also gives the compartments that it is sure of.
        """
        sampled = self._sample(volume, self._spacing, self._intensity)
        box = self._box(sampled)
        logits = self._logits(
            sampled, box, on_progress=lambda share: on_progress(_NETWORK_SHARE * share)
        )
        maps = [
            sampled.to_source(values, box, outside)
            for values, outside in zip(logits, self._background(len(logits)), strict=True)
        ]
        result = self._class_maps(maps)
        on_progress(1.0)
        return result

    def logits(self, volume: CtVolume) -> NDArray[np.float32]:
        """Return the logits on the network's grid, shape (C, Z, Y, X).

        With two classes C is 1: hematoma minus background.
        """
        sampled = self._sample(volume, self._spacing, self._intensity)
        return self._logits(sampled, self._box(sampled), on_progress=ignore_progress)

    def _box(self, sampled: Sampled) -> Box:
        if not self._options.whole_field:
            return box_of_head(sampled.head_zyx)
        depth, rows, columns = sampled.image_zyx.shape
        return (slice(0, depth), slice(0, rows), slice(0, columns))

    def _logits(
        self, sampled: Sampled, box: Box, *, on_progress: OnProgress
    ) -> NDArray[np.float32]:
        image = torch.from_numpy(np.ascontiguousarray(sampled.image_zyx[box]))
        head = sampled.head_zyx[box]
        with torch.inference_mode():
            tiled = self._batches.run(
                self._window,
                lambda window: self._tiled(image, window, head=head, on_progress=on_progress),
            )
            for values, outside in zip(
                tiled.logits, self._background(len(tiled.logits)), strict=True
            ):
                values[~tiled.seen] = outside
            return np.asarray(tiled.logits.cpu().numpy())

    def _tiled(
        self,
        image: Tensor,
        window: SlidingWindow,
        *,
        head: NDArray[np.bool_] | None = None,
        on_progress: OnProgress = ignore_progress,
    ) -> TiledLogits:
        return predict_logits(
            self._forward,
            image.to(self._options.device),
            window,
            head_zyx=head,
            on_progress=on_progress,
        )

    def _forward(self, tiles: Tensor) -> Tensor:
        """Return the logits of tiles, for two classes their difference."""
        logits = self._network(tiles).float()
        if len(self._class_names) > 2:  # noqa: PLR2004  background and hematoma
            return logits
        hematoma = self._class_names.index("hematoma")
        return logits[:, hematoma : hematoma + 1] - logits[:, 1 - hematoma : 2 - hematoma]

    def _background(self, count: int) -> list[float]:
        """Return what each map of logits says where there is nothing but background."""
        if count == 1:
            return [-SURE_BACKGROUND]
        return [SURE_BACKGROUND if name == "background" else 0.0 for name in self._class_names]

    def _class_maps(self, maps: list[NDArray[np.float32]]) -> ClassMaps:
        """Return what the logits on the source grid mean."""
        if len(maps) == 1:
            return ClassMaps(hematoma_zyx=torch.sigmoid(torch.from_numpy(maps[0])).numpy())
        probabilities = torch.softmax(torch.from_numpy(np.stack(maps)), dim=0)
        winner = probabilities.argmax(dim=0).numpy()
        return ClassMaps(
            hematoma_zyx=probabilities[self._class_names.index("hematoma")].numpy(),
            compartments=MappingProxyType(
                {
                    Compartment(name): winner == index
                    for index, name in enumerate(self._class_names)
                    if name in set(Compartment)
                }
            ),
        )


def tiled_predictor(bundle: ModelBundle, options: InferenceOptions) -> TiledPredictor:
    """Return the tiled predictor of a bundle.

    Raises
    ------
    ModelBundleError
        If the architecture is unknown or the weights do not fit it.
    """
    return TiledPredictor(bundle.card, load_network(bundle), options)
