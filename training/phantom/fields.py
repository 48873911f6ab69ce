"""Smooth random fields, soft edges and simple solids on a millimetre grid.

All arrays are float32 and indexed ``[z, y, x]``; coordinates are LPS millimetres of the
template head (see `training.phantom.head_grid`).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage  # type: ignore[import-untyped] # scipy ships no types

Array = NDArray[np.floating[Any]]
Point = tuple[float, float, float]


def inside(distance_mm: Array, width_mm: float = 1.0) -> Array:
    """Return how much of a voxel lies inside a surface, from its signed distance.

    Parameters
    ----------
    distance_mm : ndarray of float32
        Signed distance to the surface, negative inside.
    width_mm : float
        Width of the transition from 1 to 0.

    Returns
    -------
    ndarray of float32
        1 inside, 0 outside, a linear ramp between.
    """
    share = distance_mm * np.float32(-1.0 / width_mm)
    share += np.float32(0.5)
    return np.clip(share, 0.0, 1.0, out=share)


def sigmoid(values: Array) -> Array:
    """Return the logistic function, in a form that overflows nowhere."""
    return np.asarray(0.5 + 0.5 * np.tanh(values * np.float32(0.5)), dtype=np.float32)


def happens(rng: np.random.Generator, share: float) -> bool:
    """Return True in the given share of calls."""
    return bool(rng.random() < share)


def blend(background: Array, share: Array, value: Array | float) -> None:
    """Mix a value into an array in place, by the share of each voxel that it fills."""
    background += share * (value - background)


def upsampling_matrix(coarse: int, fine: int) -> Array:
    """Return the matrix of cubic B-spline interpolation between two lengths.

    Rows sum to one, so a constant stays constant. Shape (fine, coarse).
    """
    positions = np.linspace(0.0, coarse - 1.0, fine)
    matrix = np.zeros((fine, coarse), dtype=np.float32)
    base = np.floor(positions).astype(int)
    t = positions - base
    weights = (
        (1 - t) ** 3 / 6,
        (3 * t**3 - 6 * t**2 + 4) / 6,
        (-3 * t**3 + 3 * t**2 + 3 * t + 1) / 6,
        t**3 / 6,
    )
    rows = np.arange(fine)
    for offset, weight in zip((-1, 0, 1, 2), weights, strict=True):
        np.add.at(matrix, (rows, np.clip(base + offset, 0, coarse - 1)), weight)
    return matrix


def upsample(values_zyx: Array, shape_zyx: tuple[int, ...]) -> Array:
    """Return the field stretched smoothly over a finer grid of the given shape."""
    field = values_zyx
    for axis, length in enumerate(shape_zyx):
        matrix = upsampling_matrix(field.shape[axis], length)
        field = np.moveaxis(np.tensordot(matrix, field, axes=(1, axis)), 0, axis)
    return np.ascontiguousarray(field, dtype=np.float32)


def sample(values: Array, points: Array, outside: float) -> Array:
    """Return values interpolated linearly at points given by their indices.

    Parameters
    ----------
    values : ndarray of float32, shape (Z, Y, X)
        What to sample.
    points : ndarray of float32, shape (3, ...)
        Indices z, y, x, not necessarily whole.
    outside : float
        Value beyond the array.
    """
    return np.asarray(
        ndimage.map_coordinates(
            values, points, order=1, mode="constant", cval=outside, output=np.float32
        )
    )


def double(values_zyx: Array, shape_zyx: tuple[int, int, int]) -> Array:
    """Return a field interpolated linearly to half its voxel size.

    Parameters
    ----------
    values_zyx : ndarray of float32, shape (Z, Y, X)
        Values at every second point of the fine grid, beginning with the first.
    shape_zyx : tuple of int
        Shape of the fine grid: twice the coarse one, or one less.
    """
    field = values_zyx
    for axis, length in enumerate(shape_zyx):
        source = np.moveaxis(field, axis, 0)
        fine = np.empty((length, *source.shape[1:]), dtype=np.float32)
        fine[0::2] = source[: (length + 1) // 2]
        between = fine[1::2]
        between[...] = source[: between.shape[0]]
        following = source[1 : between.shape[0] + 1]
        between[: following.shape[0]] += following
        between[: following.shape[0]] *= np.float32(0.5)
        field = np.moveaxis(fine, 0, axis)
    return np.ascontiguousarray(field)


def smooth_noise(
    rng: np.random.Generator,
    shape_zyx: tuple[int, int, int],
    wavelength_voxels: float | tuple[float, float, float],
) -> Array:
    """Return a smooth random field of zero mean and unit standard deviation.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    shape_zyx : tuple of int
        Shape of the result.
    wavelength_voxels : float or tuple of float
        Typical distance from crest to crest, for all axes or each.
    """
    wavelengths = np.broadcast_to(np.asarray(wavelength_voxels, dtype=float), (3,))
    coarse_shape = [
        max(4, int(np.ceil(2 * length / wave)) + 1)
        for length, wave in zip(shape_zyx, wavelengths, strict=True)
    ]
    coarse = rng.standard_normal(coarse_shape, dtype=np.float32)
    # The squared weights of the cubic B-spline sum to 151/315 on average over a knot interval;
    # cubed for three axes, the root of the variance is 0.332.
    return upsample(coarse, shape_zyx) / np.float32(0.332)


def ellipsoid(
    x: Array, y: Array, z: Array, *, center: Point, radii_mm: Point, exponent: float = 2.0
) -> Array:
    """Return the approximate signed distance to an ellipsoid with axes along the grid, in mm.

    Negative inside. Exact on the surface to first order; scaled by the mean radius elsewhere.
    """
    squared = (
        np.abs((x - center[0]) / radii_mm[0]) ** exponent
        + np.abs((y - center[1]) / radii_mm[1]) ** exponent
        + np.abs((z - center[2]) / radii_mm[2]) ** exponent
    )
    scale = float(np.prod(radii_mm) ** (1 / 3))
    return np.asarray((squared ** (1 / exponent) - 1) * scale, dtype=np.float32)


def tube(x: Array, y: Array, z: Array, *, path: tuple[Point, ...], radii_mm: list[float]) -> Array:
    """Return the signed distance to a bent tube of varying radius, in mm.

    Parameters
    ----------
    x, y, z : ndarray of float32
        Coordinates of the voxels.
    path : tuple of Point
        Corners of the tube's centre line.
    radii_mm : list of float
        Radius at each corner.
    """
    nearest: Array | None = None
    for start, end, r0, r1 in zip(path[:-1], path[1:], radii_mm[:-1], radii_mm[1:], strict=True):
        axis = np.asarray(end, dtype=np.float32) - np.asarray(start, dtype=np.float32)
        dx, dy, dz = x - np.float32(start[0]), y - np.float32(start[1]), z - np.float32(start[2])
        t = (dx * axis[0] + dy * axis[1] + dz * axis[2]) / np.float32(axis @ axis)
        t = np.clip(t, 0, 1)
        gap = np.sqrt((dx - t * axis[0]) ** 2 + (dy - t * axis[1]) ** 2 + (dz - t * axis[2]) ** 2)
        gap -= np.float32(r0) + t * np.float32(r1 - r0)
        nearest = gap if nearest is None else np.minimum(nearest, gap)
    if nearest is None:
        raise ValueError(f"A tube needs at least two corners, got {len(path)}")
    return np.asarray(nearest, dtype=np.float32)
