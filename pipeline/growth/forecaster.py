"""From a scan and its hematoma mask to the forecast of the follow-up."""

import dataclasses

import numpy as np
import torch

from pipeline.errors import EmptyHematomaError, GeometryError, ModelBundleError
from pipeline.growth.brain import extract_brain
from pipeline.growth.dense_prediction import DenseField, predict_field
from pipeline.growth.folding import folding_share
from pipeline.growth.forecast import GrowthForecast
from pipeline.growth.moved_mask import move_mask
from pipeline.growth.network import GrowthUNet
from pipeline.growth.network_input import BrainScan, network_input
from pipeline.measurement import volume_ml
from pipeline.model_bundle import ModelBundle
from pipeline.model_card import Intensity, ModelCard
from pipeline.resampling import canonical_grid, resample_map, resample_volume
from pipeline.segmentation.head_crop import head_box
from pipeline.segmentation.predictor import OnProgress, ignore_progress
from pipeline.volume import CtVolume, HematomaMask, Vector, VoxelGrid

#: Name of the network on cards.
ARCHITECTURE = "GrowthUNet"

#: A voxel of the network's grid is hematoma if half of it is.
_HALF = 0.5


class GrowthForecaster:
    """Forecasts follow-up hematomas with one network.

    Parameters
    ----------
    card : ModelCard
        Of a growth bundle.
    network : GrowthUNet
        With its weights.
    device : torch.device
        Where it runs.

    Raises
    ------
    ModelBundleError
        If the card is no growth model's.
    """

    def __init__(self, card: ModelCard, network: GrowthUNet, *, device: torch.device) -> None:
        if card.task != "growth":
            raise ModelBundleError(f"Model {card.name} is for {card.task}, needed is growth")
        self.card = card
        self._spacing, self._patch, self._intensity = _grid_of(card)
        self._network = network.to(device).eval()

    def warm_up(self) -> None:
        """Run the network once on nothing, so that the first scan does not pay for it."""
        device = next(self._network.parameters()).device
        with torch.inference_mode():
            self._network(torch.zeros((1, 2, *self._patch), device=device))

    def forecast(
        self,
        volume: CtVolume,
        hematoma: HematomaMask,
        *,
        on_progress: OnProgress = ignore_progress,
    ) -> GrowthForecast:
        """Return the forecast of one scan.

        Parameters
        ----------
        volume : CtVolume
            Baseline scan.
        hematoma : HematomaMask
            Its hematoma, on the scan's grid.
        on_progress : callable
            Told which share is done.

        Raises
        ------
        EmptyHematomaError
            If there is no hematoma.
        GeometryError
            If mask and scan lie on different grids.
        """
        if hematoma.is_empty:
            raise EmptyHematomaError("No hematoma can grow: the mask is empty")
        if hematoma.grid != volume.grid:
            raise GeometryError("The mask does not lie on the scan's grid")
        target = canonical_grid(volume.grid, self._spacing)
        image = network_input(self._prepare(volume, hematoma, target), self._intensity)
        if not image[1].any():
            raise EmptyHematomaError("The hematoma is too small for the network's grid")
        field = predict_field(self._network, image, self._patch, on_progress=on_progress)
        grid = _box_grid(target, field)
        steps = np.asarray(self._spacing, dtype=np.float32)[:, None, None, None]
        displacement = field.displacement.numpy() * steps
        follow_up = move_mask(
            hematoma, displacement, grid, cutoff=self.card.probability_cutoff or _HALF
        )
        baseline_ml, follow_up_ml = volume_ml(hematoma), volume_ml(follow_up)
        error = self.card.forecast_error
        reach = None if error is None else error.range_of(follow_up_ml, baseline_ml=baseline_ml)
        return GrowthForecast(
            follow_up=follow_up,
            baseline_ml=baseline_ml,
            follow_up_ml=follow_up_ml,
            volume_range=reach,
            displacement_zyx_mm=displacement,
            displacement_grid=grid,
            folding=folding_share(field.displacement.unsqueeze(0)),
        )

    def _prepare(self, volume: CtVolume, hematoma: HematomaMask, target: VoxelGrid) -> BrainScan:
        hu = resample_volume(volume, target)
        covered = resample_map(hematoma.voxels_zyx.astype(np.float32), volume.grid, target)
        # Prepared cases of training are cropped in the same way before the brain is cut out.
        box = head_box(hu)
        brain = np.zeros(hu.shape, dtype=bool)
        brain[box] = extract_brain(hu[box], self._spacing)
        return BrainScan(
            hu_zyx=hu,
            brain_zyx=brain,
            hematoma_zyx=covered >= _HALF,
        )


def load_forecaster(bundle: ModelBundle, *, device: torch.device) -> GrowthForecaster:
    """Return the forecaster of a bundle.

    Raises
    ------
    ModelBundleError
        If the bundle is for another task or its weights do not fit its card.
    """
    if bundle.card.task != "growth":
        raise ModelBundleError(
            f"Model {bundle.card.name} is for {bundle.card.task}, needed is growth"
        )
    network = network_of(bundle.card)
    weights = {
        name: value.float() if value.is_floating_point() else value
        for name, value in bundle.weights.items()
    }
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise ModelBundleError(f"Weights of {bundle.card.name} do not fit: {error}") from error
    return GrowthForecaster(bundle.card, network, device=device)


def network_of(card: ModelCard) -> GrowthUNet:
    """Return the card's network, untrained.

    Raises
    ------
    ModelBundleError
        If the card names another architecture or impossible arguments.
    """
    if card.architecture != ARCHITECTURE:
        raise ModelBundleError(
            f"Architecture {card.architecture!r} of {card.name} is unknown; known: {ARCHITECTURE}"
        )
    try:
        return GrowthUNet(**card.architecture_arguments)
    except TypeError as error:
        raise ModelBundleError(f"Card of {card.name}: {error}") from error


def _grid_of(card: ModelCard) -> tuple[Vector, tuple[int, int, int], Intensity]:
    """Return what a growth card is sure to state."""
    if card.spacing_zyx_mm is None or card.patch_size_zyx is None or card.intensity is None:
        raise ModelBundleError(f"Card of {card.name} lacks grid, patch or normalisation")
    return card.spacing_zyx_mm, card.patch_size_zyx, card.intensity


def _box_grid(grid: VoxelGrid, field: DenseField) -> VoxelGrid:
    """Return the grid of a field's box, which may reach beyond the scan."""
    step_z, step_y, step_x = grid.spacing_zyx_mm
    z, y, x = field.start_zyx
    rise = step_z * grid.normal_lps
    origin = (
        np.asarray(grid.slice_origins_lps_mm[0])
        + z * rise
        + y * step_y * np.asarray(grid.column_cosine_lps)
        + x * step_x * np.asarray(grid.row_cosine_lps)
    )
    depth, rows, columns = field.displacement.shape[1:]
    origins = (origin + index * rise for index in range(depth))
    return dataclasses.replace(
        grid,
        shape_zyx=(depth, rows, columns),
        slice_origins_lps_mm=tuple((float(a), float(b), float(c)) for a, b, c in origins),
    )
