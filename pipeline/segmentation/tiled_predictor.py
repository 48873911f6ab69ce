"""Prediction on a regular grid, tile by tile: the way of every U-shaped network."""

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.model_bundle import ModelBundle
from pipeline.model_card import Intensity, ModelCard
from pipeline.resampling import canonical_grid, resample_map, resample_volume
from pipeline.segmentation.head_crop import crop_grid, head_box
from pipeline.segmentation.inference_options import InferenceOptions
from pipeline.segmentation.predictor import ClassMaps, OnProgress, ignore_progress
from pipeline.segmentation.predictors import load_network
from pipeline.segmentation.sliding_window import SlidingWindow, predict_logits
from pipeline.volume import AIR_HU, CtVolume


class TiledPredictor:
    """A network run over overlapping tiles of a resampled volume.

    Parameters
    ----------
    card : ModelCard
        Card of a segmentation model.
    network : nn.Module
        From tiles (N, 1, Z, Y, X) to class logits (N, C, Z, Y, X).
    device : torch.device
        Where the network runs.
    step : float
        Distance between tiles as a share of their size.
    mirror_axes : tuple of int
        Axes over which mirrored copies are averaged in; x (2) is left and right.
    compiled : bool
        Whether the network goes through ``torch.compile``.
    """

    def __init__(
        self,
        card: ModelCard,
        network: torch.nn.Module,
        *,
        device: torch.device,
        step: float = 0.5,
        mirror_axes: tuple[int, ...] = (),
        compiled: bool = False,
    ) -> None:
        assert card.spacing_zyx_mm is not None  # noqa: S101  the card has checked these three
        assert card.patch_size_zyx is not None  # noqa: S101
        assert card.intensity is not None  # noqa: S101
        self._spacing = card.spacing_zyx_mm
        self._intensity = card.intensity
        self._device = device
        self._half_precision = _computes_bfloat16(device)
        network = network.to(device).eval()
        self._network = torch.compile(network) if compiled else network
        self._window = SlidingWindow(
            tile_zyx=card.patch_size_zyx,
            step=step,
            batch=4 if device.type == "cuda" else 1,
            mirror_axes=mirror_axes,
            padding_value=float(normalise(np.float32(card.intensity.clip_low_hu), card.intensity)),
        )

    def warm_up(self) -> None:
        """Run the network once on a tile of air."""
        self._hematoma(np.full(self._window.tile_zyx, AIR_HU, dtype=np.float32))

    def predict(self, volume: CtVolume, *, on_progress: OnProgress = ignore_progress) -> ClassMaps:
        """Return the probability of hematoma on the volume's own grid."""
        grid = canonical_grid(volume.grid, self._spacing)
        hu = resample_volume(volume, grid)
        box = head_box(hu)
        inner = crop_grid(grid, box)
        hematoma = resample_map(self._hematoma(hu[box]), inner, volume.grid)
        on_progress(1.0)
        return ClassMaps(hematoma_zyx=hematoma)

    def _hematoma(self, hu_zyx: NDArray[np.float32]) -> NDArray[np.float32]:
        image = torch.from_numpy(normalise(hu_zyx, self._intensity)).to(self._device)
        with torch.inference_mode():
            logits = predict_logits(self._forward, image, self._window)
            return np.asarray(torch.softmax(logits, dim=0)[1].cpu().numpy())

    def _forward(self, tiles: torch.Tensor) -> torch.Tensor:
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._half_precision):
            logits: torch.Tensor = self._network(tiles)
        return logits


def tiled_predictor(bundle: ModelBundle, options: InferenceOptions) -> TiledPredictor:
    """Return the tiled predictor of a bundle.

    Raises
    ------
    ModelBundleError
        If the architecture is unknown or the weights do not fit it.
    """
    return TiledPredictor(
        bundle.card,
        load_network(bundle),
        device=options.device,
        step=options.step,
        mirror_axes=options.mirror_axes,
        compiled=options.compiled,
    )


def normalise(hu: NDArray[np.float32] | np.float32, intensity: Intensity) -> NDArray[np.float32]:
    """Return HU clipped to the card's range, minus the mean, divided by the deviation."""
    clipped = np.clip(hu, intensity.clip_low_hu, intensity.clip_high_hu)
    return np.asarray((clipped - intensity.mean) / intensity.sd, dtype=np.float32)


def _computes_bfloat16(device: torch.device) -> bool:
    """Return whether bfloat16 is faster than float32 there, not merely possible."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    # Other processors emulate bfloat16, several times slower than float32.
    return bool(torch.cpu._is_avx512_bf16_supported())  # noqa: SLF001  there is no public name
