"""Classical augmentation of patches: turned about all axes, mirrored from left to right."""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from pipeline.volume import Vector
from training.growth.recipe import Turning

#: Channels that hold masks.
_MASKS = (1, 3)

#: A voxel of a turned mask belongs to it if half of it does.
_HALF = 0.5


def turned(
    patch: Tensor, how: Turning, rng: np.random.Generator, *, spacing_zyx_mm: Vector
) -> Tensor:
    """Return a patch turned and mirrored at random, both scans alike.

    Parameters
    ----------
    patch : Tensor, shape (4, Z, Y, X)
        Of `training.growth.patches.cut_patch`.
    how : Turning
        How much and how often.
    rng : numpy Generator
        Draws.
    spacing_zyx_mm : Vector
        Voxel size: heads are turned in space, not on the grid.
    """
    is_turned, is_mirrored = rng.random(2) < (how.turned_share, how.mirrored_share)
    angles = np.radians(rng.uniform(-how.most_degrees, how.most_degrees, 3))
    if is_turned:
        patch = rotate(patch, (angles[0], angles[1], angles[2]), spacing_zyx_mm=spacing_zyx_mm)
    return patch.flip(-1) if is_mirrored else patch


def rotate(patch: Tensor, angles_zyx: Vector, *, spacing_zyx_mm: Vector) -> Tensor:
    """Return a patch turned about its middle, linear, zero where nothing is known.

    Parameters
    ----------
    patch : Tensor, shape (4, Z, Y, X)
        Scans and masks; masks stay 0 and 1.
    angles_zyx : Vector
        About the axes z, y and x, in this order; radians. A quarter turn about z takes y to x.
    spacing_zyx_mm : Vector
        Voxel size.
    """
    about_z, about_y, about_x = angles_zyx
    rotation = _plane(1, 2, about_z) @ _plane(0, 2, about_y) @ _plane(0, 1, about_x)
    # From the sampler's -1..1 to mm and back, axes z, y, x.
    reach = np.asarray(spacing_zyx_mm) * (np.array(patch.shape[1:]) - 1) / 2
    reach = np.maximum(reach, 1e-6)
    matrix = rotation * reach / reach[:, None]
    grid = functional.affine_grid(
        torch.from_numpy(np.hstack([matrix[::-1, ::-1].copy(), np.zeros((3, 1))]))[None].float(),
        [1, *patch.shape],
        align_corners=True,
    )
    moved = functional.grid_sample(patch[None], grid, align_corners=True)[0]
    for channel in _MASKS:
        moved[channel] = (moved[channel] >= _HALF).to(moved)
    return moved


def _plane(
    first: int, second: int, angle: float
) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Return the rotation that turns one axis towards another."""
    matrix = np.eye(3)
    matrix[first, first] = matrix[second, second] = np.cos(angle)
    matrix[first, second] = np.sin(angle)
    matrix[second, first] = -np.sin(angle)
    return matrix
