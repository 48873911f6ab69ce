"""Resampling between slice stacks of any spacing and tilt.

Both grids must have parallel slices whose rows run along the same lines (in either direction,
or swapped with the columns); shear by gantry tilt, uneven spacing and flips are all allowed.
Then trilinear interpolation separates into a weighted sum of slices and a bilinear
interpolation within the plane, each slice with its own in-plane offset.
"""

import math
from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import GeometryError
from pipeline.volume import AIR_HU, CtVolume, Vector, VoxelGrid

#: Cosine between two directions from which they count as parallel; 0.06 degrees.
_PARALLEL_COSINE = 1 - 5e-7

#: Points at which the triangle kernel is sampled; odd and symmetric, so that ramps stay exact.
_KERNEL_POINTS = 15

#: In-plane offsets that differ by less are the same, in mm; DICOM origins are rounded to this.
_SAME_OFFSET_MM = 1e-3


def canonical_grid(source: VoxelGrid, spacing_zyx_mm: Vector) -> VoxelGrid:
    """Return a regular grid over a stack of slices, x to the left, y posterior, z superior.

    The planes stay parallel to the slices; a sheared stack is covered with all its offsets.
    The grid has the centre of the source. A target that already is such a grid is returned
    unchanged but for its origins, which are computed anew.

    Parameters
    ----------
    source : VoxelGrid
        Grid of the slices as they were acquired.
    spacing_zyx_mm : Vector
        Wanted spacing.

    Returns
    -------
    VoxelGrid
        Regular, without shear, with the source's frame of reference.

    Raises
    ------
    GeometryError
        If a spacing is not positive, or the slices are so oblique that no in-plane
        direction points to the left.
    """
    if min(spacing_zyx_mm) <= 0:
        raise GeometryError(f"Spacing must be positive, got {spacing_zyx_mm} mm")
    x_axis, y_axis = _canonical_axes(source)
    z_axis = np.cross(x_axis, y_axis)
    if z_axis @ source.normal_lps < _PARALLEL_COSINE:
        raise GeometryError(f"Slices with normal {source.normal_lps.tolist()} are not axial")
    extents = source.slice_extents_mm
    positions = source.slice_positions_mm
    spans = [
        (positions[0] - extents[0] / 2, positions[-1] + extents[-1] / 2),
        _in_plane_span(source, y_axis),
        _in_plane_span(source, x_axis),
    ]
    axes = (z_axis, y_axis, x_axis)
    counts: list[int] = []
    origin = np.zeros(3)
    for (low, high), step, axis in zip(spans, spacing_zyx_mm, axes, strict=True):
        count = max(1, math.ceil((high - low) / step - 1e-3))
        counts.append(count)
        origin += ((low + high) / 2 - (count - 1) / 2 * step) * axis
    return VoxelGrid(
        shape_zyx=(counts[0], counts[1], counts[2]),
        pixel_spacing_yx_mm=spacing_zyx_mm[1:],
        row_cosine_lps=_vector(x_axis),
        column_cosine_lps=_vector(y_axis),
        slice_origins_lps_mm=tuple(
            _vector(origin + index * spacing_zyx_mm[0] * z_axis) for index in range(counts[0])
        ),
        frame_of_reference_uid=source.frame_of_reference_uid,
    )


def resample_volume(volume: CtVolume, target: VoxelGrid) -> NDArray[np.float32]:
    """Return the Hounsfield units of a volume on another grid, linear, air outside.

    Where source slices lie closer than those of the target, they are averaged with a
    triangle, so that thin slices become thick ones with a thick slice's noise.

    Raises
    ------
    GeometryError
        If the planes of the grids are not parallel.
    """
    return resample_map(volume.hu_zyx, volume.grid, target, outside=AIR_HU)


def resample_map(
    values_zyx: NDArray[np.generic],
    source: VoxelGrid,
    target: VoxelGrid,
    *,
    outside: float = 0.0,
) -> NDArray[np.float32]:
    """Return values given on one grid on another, linear between voxel centres.

    Up to half a voxel beyond the outermost centres the edge value holds, as in ITK [1]_;
    farther out the result is `outside`.

    Parameters
    ----------
    values_zyx : ndarray, shape (Z, Y, X)
        Values on `source`, e.g. Hounsfield units or probabilities.
    source, target : VoxelGrid
        Grids with parallel planes; each may be sheared, uneven or flipped.
    outside : float
        Value where the source does not reach.

    Returns
    -------
    ndarray of float32
        Values on `target`, of its shape.

    Raises
    ------
    GeometryError
        If the array does not fit the source or the planes are not parallel.

    References
    ----------
    .. [1] ITK Software Guide, section 3.9.4, "Interpolators".
    """
    if values_zyx.shape != source.shape_zyx:
        raise GeometryError(f"Values have shape {values_zyx.shape}, grid {source.shape_zyx}")
    plane = _PlaneMap.between(source, target)
    if plane.swapped:
        values_zyx = values_zyx.transpose(0, 2, 1)
    weights_ts = _slice_weights(source, target)
    result = np.full(target.shape_zyx, outside, dtype=np.float32)
    for index, weights_s in enumerate(weights_ts):
        used = np.flatnonzero(weights_s)
        groups: dict[tuple[int, int], list[int]] = defaultdict(list)
        for source_index in used:
            groups[plane.offset_key(index, int(source_index))].append(int(source_index))
        for members in groups.values():
            mixed = _weighted_sum(values_zyx, members, weights_s, outside)
            reached, rows, columns = plane.interpolate(mixed, index, members[0])
            result[index, rows, columns] += reached
    return result


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _PlaneMap:
    """How in-plane positions of the target translate into array indices of the source."""

    swapped: bool
    source_steps_yx: tuple[float, float]  # signed, along the target's axes
    target_steps_yx: tuple[float, float]
    source_sizes_yx: tuple[int, int]
    target_sizes_yx: tuple[int, int]
    source_starts_yx: NDArray[np.float64]  # (S, 2), along the target's axes, mm
    target_starts_yx: NDArray[np.float64]  # (T, 2)

    @classmethod
    def between(cls, source: VoxelGrid, target: VoxelGrid) -> "_PlaneMap":
        if source.normal_lps @ target.normal_lps < _PARALLEL_COSINE:
            raise GeometryError("Grids can only be resampled if their slices are parallel")
        axes = np.array([target.column_cosine_lps, target.row_cosine_lps])
        own = np.array([source.column_cosine_lps, source.row_cosine_lps])
        cosines = axes @ own.T
        swapped = bool(abs(cosines[0, 1]) > abs(cosines[0, 0]))
        order = (1, 0) if swapped else (0, 1)
        signs = [float(cosines[0, order[0]]), float(cosines[1, order[1]])]
        if min(abs(sign) for sign in signs) < _PARALLEL_COSINE:
            raise GeometryError("Grids can only be resampled if their rows are parallel")
        spacing = source.pixel_spacing_yx_mm
        sizes = source.shape_zyx[1:]
        return cls(
            swapped=swapped,
            source_steps_yx=(
                math.copysign(spacing[order[0]], signs[0]),
                math.copysign(spacing[order[1]], signs[1]),
            ),
            target_steps_yx=target.pixel_spacing_yx_mm,
            source_sizes_yx=(sizes[order[0]], sizes[order[1]]),
            target_sizes_yx=target.shape_zyx[1:],
            source_starts_yx=np.asarray(source.slice_origins_lps_mm) @ axes.T,
            target_starts_yx=np.asarray(target.slice_origins_lps_mm) @ axes.T,
        )

    def offset_key(self, target_index: int, source_index: int) -> tuple[int, int]:
        offset = self.target_starts_yx[target_index] - self.source_starts_yx[source_index]
        y, x = np.round(offset / _SAME_OFFSET_MM).astype(int)
        return int(y), int(x)

    def interpolate(
        self, slice_yx: NDArray[np.float32], target_index: int, source_index: int
    ) -> tuple[NDArray[np.float32], slice, slice]:
        """Return the values where the source slice reaches, and which rows and columns those are.

        A head fills a third of its picture: the rest is not worth the time.
        """
        offset = self.target_starts_yx[target_index] - self.source_starts_yx[source_index]
        reached = []
        for axis in (0, 1):
            positions = (
                offset[axis] + np.arange(self.target_sizes_yx[axis]) * (self.target_steps_yx[axis])
            )
            index = positions / self.source_steps_yx[axis]
            reach = _reach(index, slice_yx.shape[axis])
            slice_yx = _interpolate_axis(slice_yx, index[reach], axis=axis)
            reached.append(reach)
        return slice_yx, reached[0], reached[1]


def _reach(index: NDArray[np.float64], size: int) -> slice:
    """Return which of rising or falling fractional indices lie within half a voxel outside."""
    inside = np.flatnonzero((index >= -0.5 - 1e-6) & (index <= size - 0.5 + 1e-6))
    return slice(int(inside[0]), int(inside[-1]) + 1) if len(inside) else slice(0, 0)


def _interpolate_axis(
    values: NDArray[np.float32], index: NDArray[np.float64], *, axis: int
) -> NDArray[np.float32]:
    """Return values at fractional indices along one axis, the edge's beyond it."""
    size = values.shape[axis]
    clamped = np.clip(index, 0, size - 1)
    low = np.minimum(np.floor(clamped).astype(np.intp), max(size - 2, 0))
    high = np.minimum(low + 1, size - 1)
    fraction = clamped - low
    shape = (-1, 1) if axis == 0 else (1, -1)
    result = values.take(low, axis=axis)
    result *= (1 - fraction).astype(np.float32).reshape(shape)
    upper = values.take(high, axis=axis)
    upper *= fraction.astype(np.float32).reshape(shape)
    result += upper
    return result


def _weighted_sum(
    values_zyx: NDArray[np.generic],
    members: list[int],
    weights_s: NDArray[np.float64],
    outside: float,
) -> NDArray[np.float32]:
    """Return the weighted sum of some slices, counted from `outside`, shape (Y, X)."""
    total = np.zeros(values_zyx.shape[1:], dtype=np.float32)
    for member in members:
        part = np.subtract(values_zyx[member], np.float32(outside), dtype=np.float32)
        part *= np.float32(weights_s[member])
        total += part
    return total


def _slice_weights(source: VoxelGrid, target: VoxelGrid) -> NDArray[np.float64]:
    """Return what each source slice contributes to each target slice, shape (T, S).

    Linear interpolation, smoothed by a triangle as wide as the target step exceeds the local
    source step: none for equal steps, the full target step for very thin source slices.
    """
    axis = target.normal_lps
    positions = np.asarray(source.slice_origins_lps_mm) @ axis
    wanted = np.asarray(target.slice_origins_lps_mm) @ axis
    extents = source.slice_extents_mm
    half_width = np.maximum(target.slice_extents_mm - np.interp(wanted, positions, extents), 0.0)
    low, high = positions[0] - extents[0] / 2, positions[-1] + extents[-1] / 2
    offsets = np.linspace(-1, 1, _KERNEL_POINTS + 2)[1:-1]
    weights = np.zeros((len(wanted), len(positions)))
    for offset in offsets:
        points = wanted + offset * half_width
        inside = (points >= low - 1e-6) & (points <= high + 1e-6)
        weights += (1 - abs(offset)) * inside[:, None] * _linear_weights(points, positions)
    centre_inside = (wanted >= low - 1e-6) & (wanted <= high + 1e-6)
    totals = weights.sum(axis=1, keepdims=True)
    return np.where(centre_inside[:, None], weights / np.maximum(totals, 1e-12), 0.0)


def _linear_weights(
    points: NDArray[np.float64], positions: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the weights of linear interpolation, clamped at the ends, shape (T, S)."""
    weights = np.zeros((len(points), len(positions)))
    rows = np.arange(len(points))
    clamped = np.clip(points, positions[0], positions[-1])
    high = np.clip(np.searchsorted(positions, clamped), 1, max(len(positions) - 1, 1))
    if len(positions) == 1:
        weights[:, 0] = 1.0
        return weights
    fraction = (clamped - positions[high - 1]) / (positions[high] - positions[high - 1])
    weights[rows, high - 1] = 1 - fraction
    weights[rows, high] = fraction
    return weights


def _canonical_axes(source: VoxelGrid) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the in-plane unit vectors that point most to the left and to posterior."""
    row = np.asarray(source.row_cosine_lps, dtype=np.float64)
    column = np.asarray(source.column_cosine_lps, dtype=np.float64)
    x_axis, y_axis = (row, column) if abs(row[0]) >= abs(column[0]) else (column, row)
    return x_axis * np.sign(x_axis[0]), y_axis * np.sign(y_axis[1])


def _in_plane_span(source: VoxelGrid, axis: NDArray[np.float64]) -> tuple[float, float]:
    """Return the lowest and highest position of voxel edges along an in-plane axis, in mm."""
    spacing_y, spacing_x = source.pixel_spacing_yx_mm
    _, rows, columns = source.shape_zyx
    starts = np.asarray(source.slice_origins_lps_mm) @ axis
    reach_y = float(np.dot(source.column_cosine_lps, axis)) * spacing_y
    reach_x = float(np.dot(source.row_cosine_lps, axis)) * spacing_x
    corners = [
        starts + y * reach_y + x * reach_x
        for y in (-0.5, rows - 0.5)
        for x in (-0.5, columns - 0.5)
    ]
    return float(np.min(corners)), float(np.max(corners))


def _vector(values: NDArray[np.float64]) -> Vector:
    x, y, z = (float(value) for value in values)
    return (x, y, z)
