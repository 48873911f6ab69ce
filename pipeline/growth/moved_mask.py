"""A mask moved on its own grid, whatever its slices' spacing and tilt."""

import numpy as np
from numpy.typing import NDArray

from pipeline.resampling import resample_map
from pipeline.volume import HematomaMask, VoxelGrid


def move_mask(
    mask: HematomaMask,
    displacement_zyx_mm: NDArray[np.float32],
    field_grid: VoxelGrid,
    *,
    cutoff: float = 0.5,
) -> HematomaMask:
    """Return where a mask comes to lie, on its own grid.

    A voxel belongs to the result if the mask, linear between its voxel centres, reaches the
    cutoff where the displacement points to. Without displacement the mask is unchanged.

    Parameters
    ----------
    mask : HematomaMask
        What moves.
    displacement_zyx_mm : ndarray of float32, shape (3, Z, Y, X)
        On `field_grid`, along its slice normal, columns and rows; zero elsewhere.
    field_grid : VoxelGrid
        With planes parallel to those of the mask.
    cutoff : float
        In (0, 1).

    Raises
    ------
    GeometryError
        If the planes are not parallel or the field does not fit its grid.
    """
    grid = mask.grid
    moves = [resample_map(part, field_grid, grid) for part in displacement_zyx_mm]
    # Only where something may change: inside the mask, and where the field is not zero.
    chosen = np.argwhere(mask.voxels_zyx | np.any([move != 0 for move in moves], axis=0))
    if not len(chosen):
        return mask
    axes = (field_grid.normal_lps, field_grid.column_cosine_lps, field_grid.row_cosine_lps)
    points = _centres_lps_mm(grid, chosen)
    places = tuple(chosen.T)
    for move, axis in zip(moves, axes, strict=True):
        points = points + move[places][:, None] * np.asarray(axis)
    moved = mask.voxels_zyx.copy()
    moved[places] = values_at(mask.voxels_zyx, grid, points) >= cutoff
    return HematomaMask(voxels_zyx=moved, grid=grid)


def values_at(
    values_zyx: NDArray[np.generic], grid: VoxelGrid, points_lps_mm: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return values at points of the patient, linear between voxel centres, zero outside.

    Parameters
    ----------
    values_zyx : ndarray, shape (Z, Y, X)
        On `grid`, whose slices may be uneven and sheared.
    points_lps_mm : ndarray, shape (N, 3)
        Anywhere.

    Returns
    -------
    ndarray of float64, shape (N,)
    """
    positions = grid.slice_positions_mm
    heights = points_lps_mm @ grid.normal_lps
    last = len(positions) - 1
    reach = grid.slice_extents_mm[[0, -1]] / 2
    inside = (heights >= positions[0] - reach[0]) & (heights <= positions[-1] + reach[1])
    index = np.interp(heights, positions, np.arange(last + 1))
    # Rounding puts points on a slice a hair beside it; they must not mix in the next one.
    index = np.where(np.abs(index - np.round(index)) < _HAIR, np.round(index), index)
    low = np.clip(np.floor(index).astype(np.intp), 0, last)
    high = np.minimum(low + 1, last)
    fraction = index - low
    below = _in_slices(values_zyx, grid, low, points_lps_mm)
    above = _in_slices(values_zyx, grid, high, points_lps_mm)
    return np.asarray(np.where(inside, (1 - fraction) * below + fraction * above, 0.0))


#: Part of a slice step or pixel that is taken for rounding.
_HAIR = 1e-6


def _in_slices(
    values_zyx: NDArray[np.generic],
    grid: VoxelGrid,
    slices: NDArray[np.intp],
    points_lps_mm: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return values at points projected into slices, bilinear, shape (N,)."""
    offsets = points_lps_mm - np.asarray(grid.slice_origins_lps_mm)[slices]
    result = np.zeros(len(slices))
    spots = [
        offsets @ np.asarray(axis) / step
        for axis, step in zip(
            (grid.column_cosine_lps, grid.row_cosine_lps), grid.pixel_spacing_yx_mm, strict=True
        )
    ]
    spots = [
        np.where(np.abs(spot - np.round(spot)) < _HAIR, np.round(spot), spot) for spot in spots
    ]
    corners = [np.floor(spot).astype(np.intp) for spot in spots]
    for step_y in (0, 1):
        for step_x in (0, 1):
            y, x = corners[0] + step_y, corners[1] + step_x
            share = (1 - np.abs(spots[0] - y)) * (1 - np.abs(spots[1] - x))
            there = (y >= 0) & (y < grid.shape_zyx[1]) & (x >= 0) & (x < grid.shape_zyx[2])
            result[there] += share[there] * values_zyx[slices[there], y[there], x[there]]
    return result


def _centres_lps_mm(grid: VoxelGrid, indices_zyx: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return the patient coordinates of voxel centres, shape (N, 3)."""
    z, y, x = indices_zyx.T
    row_step = grid.pixel_spacing_yx_mm[0] * np.asarray(grid.column_cosine_lps)
    column_step = grid.pixel_spacing_yx_mm[1] * np.asarray(grid.row_cosine_lps)
    origins = np.asarray(grid.slice_origins_lps_mm)[z]
    return np.asarray(origins + y[:, None] * row_step + x[:, None] * column_step)
