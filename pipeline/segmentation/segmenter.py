"""From a CT volume to the mask of its hematoma, by a network and its card."""

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.errors import ModelBundleError
from pipeline.model_bundle import ModelBundle
from pipeline.model_card import Intensity
from pipeline.resampling import canonical_grid, resample_map, resample_volume
from pipeline.segmentation.components import keep_large_components
from pipeline.segmentation.enclosure import keep_intracranial_components
from pipeline.segmentation.head_crop import crop_grid, head_box
from pipeline.segmentation.networks.registry import build_network
from pipeline.segmentation.sliding_window import SlidingWindow, predict_logits
from pipeline.volume import AIR_HU, CtVolume, HematomaMask


class Segmenter:
    """A segmentation network ready for use.

    Parameters
    ----------
    bundle : ModelBundle
        Card and weights of a segmentation model.
    device : torch.device
        Where the network runs.
    step : float
        Distance between tiles as a share of their size.
    mirror_axes : tuple of int
        Axes over which mirrored copies are averaged in; x (2) is left and right.

    Raises
    ------
    ModelBundleError
        If the bundle is for another task or its weights do not fit its architecture.
    """

    def __init__(
        self,
        bundle: ModelBundle,
        *,
        device: torch.device,
        step: float = 0.5,
        mirror_axes: tuple[int, ...] = (),
    ) -> None:
        card = bundle.card
        if card.task != "segmentation":
            raise ModelBundleError(f"Model {card.name} is for {card.task}, needed is segmentation")
        assert card.spacing_zyx_mm is not None  # noqa: S101  the card has checked these five
        assert card.patch_size_zyx is not None  # noqa: S101
        assert card.intensity is not None  # noqa: S101
        assert card.minimum_component_ml is not None  # noqa: S101
        assert card.probability_cutoff is not None  # noqa: S101
        self.card = card
        self._spacing = card.spacing_zyx_mm
        self._intensity = card.intensity
        self._cutoff = card.probability_cutoff
        self._floor_ml = card.minimum_component_ml
        self._device = device
        self._half_precision = _computes_bfloat16(device)
        self._network = _loaded(bundle).to(device)
        self._window = SlidingWindow(
            tile_zyx=card.patch_size_zyx,
            step=step,
            batch=4 if device.type == "cuda" else 1,
            mirror_axes=mirror_axes,
            padding_value=float(normalise(np.float32(card.intensity.clip_low_hu), card.intensity)),
        )

    def warm_up(self) -> None:
        """Run the network once on a tile of air."""
        self._predict(np.full(self._window.tile_zyx, AIR_HU, dtype=np.float32))

    def segment(self, volume: CtVolume) -> HematomaMask:
        """Return the hematoma on the volume's own grid.

        Parts below the card's floor and parts that do not lie inside the skull are dropped.
        """
        voxels = self.probability(volume) >= self._cutoff
        mask = HematomaMask(voxels_zyx=voxels, grid=volume.grid)
        return keep_intracranial_components(keep_large_components(mask, self._floor_ml), volume)

    def probability(self, volume: CtVolume) -> NDArray[np.float32]:
        """Return the probability of hematoma on the volume's own grid, shape (Z, Y, X)."""
        grid = canonical_grid(volume.grid, self._spacing)
        hu = resample_volume(volume, grid)
        box = head_box(hu)
        inner = crop_grid(grid, box)
        return resample_map(self._predict(hu[box]), inner, volume.grid)

    def _predict(self, hu_zyx: NDArray[np.float32]) -> NDArray[np.float32]:
        image = torch.from_numpy(normalise(hu_zyx, self._intensity)).to(self._device)
        with torch.inference_mode():
            logits = predict_logits(self._forward, image, self._window)
            return np.asarray(torch.softmax(logits, dim=0)[1].cpu().numpy())

    def _forward(self, tiles: torch.Tensor) -> torch.Tensor:
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._half_precision):
            logits: torch.Tensor = self._network(tiles)
        return logits


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


def _loaded(bundle: ModelBundle) -> torch.nn.Module:
    network = build_network(bundle.card.architecture, bundle.card.architecture_arguments)
    try:
        network.load_state_dict(bundle.weights)
    except RuntimeError as error:
        raise ModelBundleError(
            f"Weights of {bundle.card.name} do not fit its card: {error}"
        ) from error
    return network.eval()
