"""Values of a stack of slices at any points of the patient."""

import numpy as np
from numpy.typing import NDArray

from pipeline.volume import VoxelGrid

#: Half a voxel beyond the outermost centres still belongs to a scan, as in `pipeline.resampling`.
_EDGE = 0.5


def plane_points(grid: VoxelGrid, index: int) -> NDArray[np.float64]:
    """Return the centres of one slice's pixels in patient coordinates, mm, shape (Y, X, 3)."""
    step_y, step_x = grid.pixel_spacing_yx_mm
    _, rows, columns = grid.shape_zyx
    down = np.arange(rows)[:, None, None] * step_y * np.array(grid.column_cosine_lps)
    right = np.arange(columns)[None, :, None] * step_x * np.array(grid.row_cosine_lps)
    return np.asarray(np.array(grid.slice_origins_lps_mm[index]) + down + right)


def sample(
    values_zyx: NDArray[np.generic],
    grid: VoxelGrid,
    points_lps_mm: NDArray[np.float64],
    *,
    outside: float,
) -> NDArray[np.float32]:
    """Return values of a stack at points, linear between voxel centres, shape (...).

    The stack may be sheared (gantry tilt) and unevenly spaced; the slice origin between two
    slices is interpolated as the values are.

    Parameters
    ----------
    values_zyx : ndarray, shape (Z, Y, X)
        Values on `grid`.
    points_lps_mm : ndarray of float64, shape (..., 3)
        Patient coordinates.
    outside : float
        Value of points more than half a voxel beyond the outermost voxel centres.
    """
    from scipy import ndimage  # type: ignore[import-untyped] # scipy ships no types

    position = points_lps_mm @ grid.normal_lps
    at = _slice_index(grid, position)
    origins = np.asarray(grid.slice_origins_lps_mm, dtype=np.float64)
    counted = np.arange(len(origins))
    origin = np.stack(
        [np.interp(at, counted, origins[:, axis]) for axis in range(3)],
        axis=-1,
    )
    offset = points_lps_mm - origin
    step_y, step_x = grid.pixel_spacing_yx_mm
    places = np.stack(
        [
            at,
            offset @ np.array(grid.column_cosine_lps) / step_y,
            offset @ np.array(grid.row_cosine_lps) / step_x,
        ]
    )
    inside = np.ones(position.shape, dtype=np.bool_)
    for place, size in zip(places, grid.shape_zyx, strict=True):
        inside &= (place >= -_EDGE - 1e-9) & (place <= size - 1 + _EDGE + 1e-9)
    found = ndimage.map_coordinates(
        values_zyx.astype(np.float32, copy=False), places, order=1, mode="nearest"
    )
    return np.asarray(np.where(inside, found, np.float32(outside)), dtype=np.float32)


def _slice_index(grid: VoxelGrid, position_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the slice index, fractional, at positions along the normal.

    Beyond the end slices it runs on with the step of the end.
    """
    positions, extents = grid.slice_positions_mm, grid.slice_extents_mm
    last = len(positions) - 1
    known = np.concatenate([[positions[0] - extents[0]], positions, [positions[-1] + extents[-1]]])
    return np.asarray(
        np.interp(position_mm, known, np.arange(-1, last + 2), left=-2.0, right=last + 2.0)
    )
