"""Small networks, cards and heads for the forecast of growth."""

import numpy as np
import torch

from pipeline.growth.forecaster import GrowthForecaster
from pipeline.growth.network import GrowthUNet
from pipeline.model_card import Intensity, ModelCard
from pipeline.volume import CtVolume, HematomaMask, VoxelGrid, regular_grid
from training.cohort.case import Case
from training.growth.pair import GrowthPair
from training.growth.recipe import Course, GrowthRecipe, Sampling
from training.growth.shrinking import Shrinking

#: Grids of heads that are registered.
STEP, COARSE = (3.0, 3.0, 3.0), (5.0, 5.0, 5.0)

INTENSITY = Intensity(clip_low_hu=0, clip_high_hu=100, mean=0, sd=100)


def growth_card(**changes: object) -> ModelCard:
    """Return the card of a small forecast."""
    fields = {
        "name": "toy",
        "version": "1",
        "task": "growth",
        "architecture": "GrowthUNet",
        "architecture_arguments": {"widths": [2, 2]},
        "spacing_zyx_mm": (4.0, 4.0, 4.0),
        "patch_size_zyx": (16, 16, 16),
        "intensity": INTENSITY,
        "class_names": ("background", "hematoma"),
        "probability_cutoff": 0.5,
        "training_cohort": "none",
        "licence": "Apache-2.0",
        "intended_use": "tests",
        "demonstration": True,
    }
    return ModelCard(**{**fields, **changes})


def moving_network(displacement_zyx: tuple[float, float, float]) -> GrowthUNet:
    """Return a network that moves everything by the same voxels, whatever it sees."""
    network = GrowthUNet(widths=[2, 2])
    with torch.no_grad():
        network.head.weight.zero_()
        network.head.bias.copy_(torch.tensor(displacement_zyx))
    return network


def moving_forecaster(displacement_zyx: tuple[float, float, float], **changes: object):
    """Return a forecaster that moves every hematoma alike."""
    network = moving_network(displacement_zyx)
    return GrowthForecaster(growth_card(**changes), network, device=torch.device("cpu"))


def bleeding_head(
    grid: VoxelGrid | None = None, *, radius_mm: float = 12.0
) -> tuple[CtVolume, HematomaMask]:
    """Return a skull of 6 mm around a brain of 60 mm radius, with a ball of blood in it.

    The head's centre lies in the middle of the grid, the blood 10 mm to the left of it.
    """
    grid = grid or regular_grid((36, 80, 80), (4.0, 2.0, 2.0))
    points = np.stack([_plane(grid, index) for index in range(grid.shape_zyx[0])])
    middle = points.reshape(-1, 3).mean(axis=0)
    distance = np.linalg.norm(points - middle, axis=-1)
    blood = np.linalg.norm(points - middle - [10, 0, 0], axis=-1) <= radius_mm
    hu = np.full(grid.shape_zyx, -1000, dtype=np.int16)
    for limit, value in ((70.0, 40), (66.0, 900), (60.0, 30)):
        hu[distance < limit] = value
    hu[blood] = 65
    return CtVolume(hu_zyx=hu, grid=grid), HematomaMask(voxels_zyx=blood, grid=grid)


def _plane(grid: VoxelGrid, index: int) -> np.ndarray:
    rows, columns = np.indices(grid.shape_zyx[1:], dtype=float)
    step_y, step_x = grid.pixel_spacing_yx_mm
    return (
        np.asarray(grid.slice_origins_lps_mm[index])
        + rows[..., None] * step_y * np.asarray(grid.column_cosine_lps)
        + columns[..., None] * step_x * np.asarray(grid.row_cosine_lps)
    )


def small_pair(
    patient_id: str = "p1",
    *,
    baseline_mm: float = 8.0,
    follow_up_mm: float = 12.0,
    size: int = 20,
    step_mm: float = 2.0,
) -> GrowthPair:
    """Return a ball of blood that grows evenly in the middle of a ball of brain."""
    grid = np.indices((size, size, size)) * step_mm
    distance = np.linalg.norm(grid - (size - 1) / 2 * step_mm, axis=0)
    brain = distance <= (size - 2) / 2 * step_mm
    before, after = distance <= baseline_mm, distance <= follow_up_mm
    noise = np.random.default_rng(len(patient_id)).normal(0, 2, brain.shape)

    def scan(mask: np.ndarray) -> np.ndarray:
        hu = np.where(brain, np.where(mask, 65, 30) + noise, 1000)
        return np.round(hu).astype(np.int16)

    return GrowthPair(
        patient_id=patient_id,
        spacing_zyx_mm=(step_mm, step_mm, step_mm),
        baseline_hu_zyx=scan(before),
        follow_up_hu_zyx=scan(after),
        brain_zyx=brain,
        baseline_zyx=before,
        follow_up_zyx=after,
    )


def small_recipe(**changes: object) -> GrowthRecipe:
    """Return a recipe that is trained in a second."""
    fields = {
        "name": "toy",
        "spacing_zyx_mm": (2.0, 2.0, 2.0),
        "patch_size_zyx": (8, 8, 8),
        "widths": (2, 2),
        "shrinking": Shrinking(variants=2, erosion_mm=1.0),
        "sampling": Sampling(patches_per_case=6, validation_patches_per_case=4),
        "course": Course(epochs=2, batch_size=4, checkpoint_every=2, learning_rate=1e-2),
    }
    return GrowthRecipe(**{**fields, **changes})


def lopsided_head(
    *, radius_mm: float = 15.0, spacing: tuple[float, float, float] = STEP
) -> tuple[np.ndarray, np.ndarray]:
    """Return an egg of a head, whose pose can be seen, and its hematoma."""
    shape_zyx = [int(length / step) for length, step in zip((168, 180, 180), spacing, strict=True)]
    z, y, x = np.indices(shape_zyx) * spacing[0]
    shape = ((z - 82) / 62) ** 2 + ((y - 88) / 78) ** 2 + ((x - 88) / (60 + (y - 88) / 8)) ** 2
    hu = np.full(shape_zyx, -1000, dtype=np.int16)
    hu[shape < 1.0] = 40
    hu[shape < 0.92] = 900
    hu[shape < 0.74] = 30
    hu[(z - 95) ** 2 + (y - 60) ** 2 + (x - 88) ** 2 < 12**2] = 8  # a ventricle
    blood = (z - 82) ** 2 + (y - 100) ** 2 + (x - 108) ** 2 <= radius_mm**2
    hu[blood] = 65
    return hu, blood


def case_of(
    hu: np.ndarray,
    blood: np.ndarray,
    name: str,
    spacing: tuple[float, float, float] = STEP,
) -> Case:
    """Return a prepared case."""
    return Case(
        case_id=name,
        patient_id="p1",
        source="tests",
        hu_zyx=hu.astype(np.int16),
        label_zyx=blood.astype(np.uint8),
        spacing_zyx_mm=spacing,
    )
