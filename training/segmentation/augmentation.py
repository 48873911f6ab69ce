"""Random changes that leave a head a head."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage  # type: ignore[import-untyped] # scipy ships no types
from torch.nn import functional

from training.cohort.case import IGNORED

#: Shares of patches that are blurred, get noise, and of the latter those with coarse noise.
_BLUR_SHARE = 0.4
_NOISE_SHARE = 0.5
_COARSE_SHARE = 0.5

#: Range of soft tissue that may be brightened, and by how much at most.
_SOFT_HU = (20.0, 85.0)
_BRIGHTER_HU = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Augmentation:
    """How strongly patches are changed.

    Attributes
    ----------
    rotation_deg, large_rotation_deg : float
        Largest in-plane rotation; the large one is used in `large_rotation_share` of patches.
    scale : float
        Sizes vary by a factor between 1 - scale and 1 + scale.
    gain, offset_hu : float
        Largest relative stretch of HU about 30 and largest shift.
    noise_hu, blur_mm : float
        Largest standard deviation of added noise and of an in-plane Gaussian blur.
    """

    rotation_deg: float = 15.0
    large_rotation_deg: float = 45.0
    large_rotation_share: float = 0.2
    scale: float = 0.12
    gain: float = 0.10
    offset_hu: float = 4.0
    noise_hu: float = 5.0
    blur_mm: float = 0.7
    pixel_mm: float = 0.5


def sample_patch(
    hu_zyx: NDArray[np.int16],
    label_zyx: NDArray[np.uint8],
    *,
    corner_z: int,
    centre_yx: tuple[float, float],
    shape_zyx: tuple[int, int, int],
    outside_hu: float,
    rng: np.random.Generator,
    augmentation: Augmentation,
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Return a randomly flipped, rotated and scaled patch about a centre.

    Slices beyond the ends are `outside_hu`, their label is ignored, and so are voxels that lie
    outside the stored picture in the plane.
    """
    depth, height, width = shape_zyx
    matrix = _random_matrix(rng, augmentation)
    grid = _sampling_grid(matrix, centre_yx, (height, width), hu_zyx.shape[1:])
    first, last = max(corner_z, 0), min(corner_z + depth, len(hu_zyx))
    image = torch.from_numpy(hu_zyx[first:last].astype(np.float32) - outside_hu)[:, None]
    label = torch.from_numpy(label_zyx[first:last].astype(np.float32) - IGNORED)[:, None]
    grids = grid.expand(last - first, -1, -1, -1)
    moved = functional.grid_sample(image, grids, mode="bilinear", align_corners=True)[:, 0]
    chosen = functional.grid_sample(label, grids, mode="nearest", align_corners=True)[:, 0]
    patch = np.full(shape_zyx, outside_hu, dtype=np.float32)
    patch[first - corner_z : last - corner_z] += moved.numpy()
    labels = np.full(shape_zyx, IGNORED, dtype=np.uint8)
    labels[first - corner_z : last - corner_z] = (chosen.numpy() + IGNORED).astype(np.uint8)
    return patch, labels


def vary_intensity(
    patch_zyx: NDArray[np.float32], *, rng: np.random.Generator, augmentation: Augmentation
) -> NDArray[np.float32]:
    """Return the patch with another blur, contrast, level and noise, in HU."""
    changed = patch_zyx
    if rng.random() < _BLUR_SHARE:
        sigma = rng.uniform(0.2, augmentation.blur_mm) / augmentation.pixel_mm
        changed = ndimage.gaussian_filter(changed, (0, sigma, sigma))
    gain = 1 + rng.uniform(-augmentation.gain, augmentation.gain)
    offset = rng.uniform(-augmentation.offset_hu, augmentation.offset_hu)
    changed = (changed - 30) * np.float32(gain) + np.float32(30 + offset)
    if rng.random() < _NOISE_SHARE:
        noise = rng.standard_normal(changed.shape, dtype=np.float32)
        if rng.random() < _COARSE_SHARE:  # coarse grain, as smooth kernels leave it
            noise = ndimage.uniform_filter(noise, (0, 3, 3)) * 3
        changed = changed + noise * np.float32(rng.uniform(0.5, augmentation.noise_hu))
    return changed.astype(np.float32)


def brighten_soft_tissue(
    patch_zyx: NDArray[np.float32], *, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Return a patch without hematoma whose muscles and brain may be brighter, in HU.

    Muscle reaches the HU of clotted blood in some patients; brightness alone must not be taken
    for a bleed.
    """
    soft = (patch_zyx > _SOFT_HU[0]) & (patch_zyx < _SOFT_HU[1])
    return np.asarray(patch_zyx + rng.uniform(0, _BRIGHTER_HU) * soft, dtype=np.float32)


def _random_matrix(rng: np.random.Generator, augmentation: Augmentation) -> NDArray[np.float64]:
    """Return a 2x2 matrix from patch offsets (y, x) to picture offsets, in pixels."""
    large = rng.random() < augmentation.large_rotation_share
    reach = augmentation.large_rotation_deg if large else augmentation.rotation_deg
    angle = np.radians(rng.uniform(-reach, reach))
    size = 1 + rng.uniform(-augmentation.scale, augmentation.scale, size=2)
    flip = rng.choice([-1.0, 1.0])
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return np.asarray(turn @ np.diag([size[0], size[1] * flip]))


def _sampling_grid(
    matrix: NDArray[np.float64],
    centre_yx: tuple[float, float],
    shape_yx: tuple[int, int],
    picture_yx: tuple[int, ...],
) -> torch.Tensor:
    """Return normalised (x, y) positions for `grid_sample`, shape (1, Y, X, 2)."""
    height, width = shape_yx
    y = np.arange(height) - (height - 1) / 2
    x = np.arange(width) - (width - 1) / 2
    rows = centre_yx[0] + matrix[0, 0] * y[:, None] + matrix[0, 1] * x[None, :]
    columns = centre_yx[1] + matrix[1, 0] * y[:, None] + matrix[1, 1] * x[None, :]
    grid = np.stack(
        [
            2 * columns / max(picture_yx[1] - 1, 1) - 1,
            2 * rows / max(picture_yx[0] - 1, 1) - 1,
        ],
        axis=-1,
    )
    return torch.from_numpy(grid.astype(np.float32))[None]
