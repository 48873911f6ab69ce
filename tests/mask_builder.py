"""Masks of known geometry, and volumes to go with them."""

import numpy as np
from numpy.typing import NDArray

from pipeline.volume import CtVolume, HematomaMask, Vector, VoxelGrid, regular_grid

BRAIN_HU = 30
BLOOD_HU = 65


def ball(
    *,
    radius_mm: float,
    spacing_zyx_mm: Vector,
    shape_zyx: tuple[int, int, int] | None = None,
    centre_zyx_mm: Vector | None = None,
) -> HematomaMask:
    """Return a ball, by default in the middle of a grid that just holds it."""
    if shape_zyx is None:
        z, y, x = (int(2 * radius_mm / step) + 5 for step in spacing_zyx_mm)
        shape_zyx = (z, y, x)
    axes = [np.arange(size) * step for size, step in zip(shape_zyx, spacing_zyx_mm, strict=True)]
    if centre_zyx_mm is None:
        z_mm, y_mm, x_mm = (float(axis.mean()) for axis in axes)
        centre_zyx_mm = (z_mm, y_mm, x_mm)
    squares = [(axis - middle) ** 2 for axis, middle in zip(axes, centre_zyx_mm, strict=True)]
    distance = squares[0][:, None, None] + squares[1][None, :, None] + squares[2][None, None, :]
    return HematomaMask(
        voxels_zyx=distance <= radius_mm**2, grid=regular_grid(shape_zyx, spacing_zyx_mm)
    )


def mask_on(
    voxels_zyx: NDArray[np.bool_], spacing_zyx_mm: Vector = (5.0, 0.5, 0.5)
) -> HematomaMask:
    """Return a mask of these voxels on an even grid."""
    z, y, x = voxels_zyx.shape
    return HematomaMask(voxels_zyx=voxels_zyx, grid=regular_grid((z, y, x), spacing_zyx_mm))


def at_positions(
    mask: HematomaMask, positions_mm: list[float], *, tilt_deg: float = 0.0
) -> HematomaMask:
    """Return the mask with its slices at these positions, sheared by a gantry tilt.

    The slices stay axial; each is shifted to posterior by tan(tilt) times its position.
    """
    slope = float(np.tan(np.radians(tilt_deg)))
    grid = VoxelGrid(
        shape_zyx=mask.grid.shape_zyx,
        pixel_spacing_yx_mm=mask.grid.pixel_spacing_yx_mm,
        slice_origins_lps_mm=tuple((0.0, slope * z, z) for z in positions_mm),
    )
    return HematomaMask(voxels_zyx=mask.voxels_zyx, grid=grid)


def bleeding_brain(mask: HematomaMask) -> CtVolume:
    """Return a volume of brain with blood where the mask is."""
    hu_zyx = np.where(mask.voxels_zyx, BLOOD_HU, BRAIN_HU).astype(np.int16)
    return CtVolume(hu_zyx=hu_zyx, grid=mask.grid)
