"""The distance between the surfaces of two masks."""

import math

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage  # type: ignore[import-untyped]  # scipy ships no types

from pipeline.volume import Vector

#: Percentile of the distances that HD95 takes instead of their maximum.
HD95_PERCENTILE = 95.0


def hausdorff_mm(
    first: NDArray[np.bool_],
    second: NDArray[np.bool_],
    spacing_zyx_mm: Vector,
    *,
    percentile: float = HD95_PERCENTILE,
) -> float | None:
    """Return the percentile Hausdorff distance of two masks: HD95, or with 100 the maximum.

    The larger of the two directed percentiles of the distances from each surface voxel of one
    mask to the nearest surface voxel of the other [1]_. Surface voxels are those with a face
    neighbour outside the mask; beyond the edge of the grid is outside.

    Parameters
    ----------
    first, second : ndarray of bool, shape (Z, Y, X)
        The masks.
    spacing_zyx_mm : Vector
        Voxel size.
    percentile : float
        In [0, 100].

    Returns
    -------
    float or None
        None where both masks are empty: there is nothing to measure. Where only one is, the
        diagonal of the grid, which no distance exceeds: a missed hematoma is the worst error.

    References
    ----------
    .. [1] L. Maier-Hein et al., "Metrics reloaded: recommendations for image analysis
       validation", Nature Methods 21 (2024) 195-212.
    """
    if not first.any() and not second.any():
        return None
    if not first.any() or not second.any():
        return grid_diagonal_mm(first.shape, spacing_zyx_mm)
    box = _bounding_box(first | second)
    one, other = surface_voxels(first[box]), surface_voxels(second[box])
    there = _distances_mm(one, other, spacing_zyx_mm)
    back = _distances_mm(other, one, spacing_zyx_mm)
    return float(max(np.percentile(there, percentile), np.percentile(back, percentile)))


def surface_voxels(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the voxels of a mask that have a face neighbour outside it or lie at the edge."""
    return np.asarray(mask & ~ndimage.binary_erosion(mask), dtype=np.bool_)


def grid_diagonal_mm(shape_zyx: tuple[int, ...], spacing_zyx_mm: Vector) -> float:
    """Return the distance between the centres of the outermost voxels."""
    return math.hypot(
        *((size - 1) * step for size, step in zip(shape_zyx, spacing_zyx_mm, strict=True))
    )


def _distances_mm(
    from_surface: NDArray[np.bool_], to_surface: NDArray[np.bool_], spacing_zyx_mm: Vector
) -> NDArray[np.float64]:
    distance = ndimage.distance_transform_edt(~to_surface, sampling=spacing_zyx_mm)
    return np.asarray(distance[from_surface], dtype=np.float64)


def _bounding_box(mask: NDArray[np.bool_]) -> tuple[slice, ...]:
    """Return the smallest box around a mask: outside it there is no surface."""
    box: tuple[slice, ...] = ndimage.find_objects(mask.astype(np.uint8))[0]
    return box
