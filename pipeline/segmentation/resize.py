"""Resizing of arrays as nnU-Net does it, by one small matrix for each axis.

nnU-Net resizes volumes by B-splines through scikit-image: cubic for the image, linear for the
logits, and next neighbour across thick slices. Both are separable and linear in the values, so
that a matrix for each axis gives the same result at the price of a few matrix products.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

#: From this ratio of spacings on slices are resized apart from the plane, as in nnU-Net [1]_.
#: .. [1] F. Isensee et al., "nnU-Net", Nature Methods 18, 203-211 (2021), supplement.
ANISOTROPY = 3.0

Spacing = tuple[float, float, float]

Shape = tuple[int, int, int]


def resized_shape(shape_zyx: Shape, spacing_zyx_mm: Spacing, target_zyx_mm: Spacing) -> Shape:
    """Return the number of voxels for another spacing, rounded as nnU-Net rounds."""
    z, y, x = (
        round(own / wanted * size)
        for size, own, wanted in zip(shape_zyx, spacing_zyx_mm, target_zyx_mm, strict=True)
    )
    return z, y, x


def thick_axis(spacing_zyx_mm: Spacing, target_zyx_mm: Spacing) -> int | None:
    """Return the axis that is resized to the next neighbour, or None if there is none.

    The axis of the coarsest spacing, if that is more than three times the finest, first of the
    values' own spacings, then of the wanted ones; two equally coarse axes do not count.
    """
    for spacing in (spacing_zyx_mm, target_zyx_mm):
        if max(spacing) / min(spacing) > ANISOTROPY:
            coarsest = [axis for axis in range(3) if spacing[axis] == max(spacing)]
            return coarsest[0] if len(coarsest) == 1 else None
    return None


def resize(
    values_zyx: NDArray[np.float32], shape_zyx: Shape, *, order: int, nearest_axis: int | None
) -> NDArray[np.float32]:
    """Return values resized so that the outer edges of the volume stay where they are.

    Parameters
    ----------
    values_zyx : ndarray of float32, shape (Z, Y, X)
        Values at voxel centres.
    shape_zyx : tuple of int
        Wanted shape.
    order : int
        Order of the B-spline: 1 linear, 3 cubic. Overshoot beyond the range of the values (of
        each slice, where slices are resized apart) is clipped.
    nearest_axis : int or None
        Axis along which the next neighbour is taken.

    Returns
    -------
    ndarray of float32, of the wanted shape
    """
    if values_zyx.shape == shape_zyx:
        return values_zyx
    splines = tuple(axis for axis in range(3) if axis != nearest_axis)
    result = values_zyx
    for axis in splines:
        if result.shape[axis] != shape_zyx[axis]:
            result = _along(result, _spline(result.shape[axis], shape_zyx[axis], order), axis)
    if order > 1:
        low = values_zyx.min(axis=splines, keepdims=True)
        result = np.clip(result, low, values_zyx.max(axis=splines, keepdims=True))
    if nearest_axis is not None:
        chosen = _nearest(values_zyx.shape[nearest_axis], shape_zyx[nearest_axis])
        result = result.take(chosen, axis=nearest_axis)
    return np.ascontiguousarray(result, dtype=np.float32)


def resize_nearest(values_zyx: NDArray[np.float32], shape_zyx: Shape) -> NDArray[np.float32]:
    """Return values resized to their next neighbours, outer edges where they are.

    Parameters
    ----------
    values_zyx : ndarray, shape (Z, Y, X)
        Values at voxel centres.
    shape_zyx : tuple of int
        Wanted shape.
    """
    z, y, x = (
        _nearest(size, wanted) for size, wanted in zip(values_zyx.shape, shape_zyx, strict=True)
    )
    return np.asarray(values_zyx[np.ix_(z, y, x)])


def _along(
    values: NDArray[np.float32], matrix: NDArray[np.float32], axis: int
) -> NDArray[np.float32]:
    """Return a matrix applied to one axis, memory order kept."""
    if axis == values.ndim - 1:
        return values @ matrix.T
    if axis == values.ndim - 2:
        return matrix @ values
    return np.tensordot(matrix, values, axes=1)


@lru_cache(maxsize=16)
def _spline(size: int, wanted: int, order: int) -> NDArray[np.float32]:
    """Return the matrix (wanted, size) of a B-spline with the edge values continued."""
    from scipy import ndimage  # type: ignore[import-untyped] # scipy ships no types

    matrix = ndimage.zoom(
        np.eye(size), (wanted / size, 1), order=order, mode="nearest", grid_mode=True
    )
    return np.asarray(matrix, dtype=np.float32)


def _nearest(size: int, wanted: int) -> NDArray[np.intp]:
    """Return the index of the nearest source voxel for each wanted one; halves go up."""
    centres = (np.arange(wanted) + 0.5) * (size / wanted) - 0.5
    return np.asarray(np.clip(np.floor(centres + 0.5), 0, size - 1), dtype=np.intp)
