"""What of a scan the networks of BLAST-CT look at: the skull, in planes that lie on slices."""

import dataclasses
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.resampling import canonical_grid, resample_volume
from pipeline.segmentation.head_crop import Box, crop_grid, head_box
from pipeline.volume import CtVolume, Vector, VoxelGrid

#: How far below the top of the skull a brain can reach. Basion to bregma is 133 mm, SD 5 mm, in
#: men (W. W. Howells, Cranial Variation in Man, 1973); a tilted gantry adds some.
_CRANIAL_MM = 150.0

#: Denser than calcium and clips are rare, bone is common; HU after resampling.
_BONE_HU = 250.0

#: Area of bone that a plane, row or column of voxels meets in a head, and no speck does; mm2.
_LEAST_BONE_MM2 = 50.0

#: Kept around the bone, which is thin at the vertex and the temple; mm.
_BONE_MARGIN_MM = 3.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class View:
    """A scan as the networks look at it.

    Attributes
    ----------
    hu_zyx : ndarray of float32, shape (Z, Y, X)
        The whole scan at the networks' spacing.
    region : Box
        What is looked at.
    planes : list of int
        Planes of the region that stand for slices, rising.
    grid : VoxelGrid
        Grid of what is computed on them, shape (planes, y, x).
    """

    hu_zyx: NDArray[np.float32]
    region: Box
    planes: list[int]
    grid: VoxelGrid


def view_of(volume: CtVolume, spacing_zyx_mm: Vector) -> View:
    """Return a scan as the networks look at it."""
    grid = _planes_on_slices(volume.grid, spacing_zyx_mm)
    hu = resample_volume(volume, grid)
    region = _cranial_region(hu, grid)
    planes, layers = _wanted_planes(volume.grid, grid, region)
    return View(hu_zyx=hu, region=region, planes=planes, grid=layers)


def _planes_on_slices(source: VoxelGrid, spacing_zyx_mm: Vector) -> VoxelGrid:
    """Return the canonical grid, its planes counted from the lowest slice to the highest one.

    Slices that are a multiple of the spacing apart then coincide with planes, as in the
    resampling of the published program, and are looked at without interpolation.
    """
    grid = canonical_grid(source, spacing_zyx_mm)
    normal = grid.normal_lps
    positions = source.slice_positions_mm
    origin = np.asarray(grid.slice_origins_lps_mm[0])
    origin = origin + (positions[0] - origin @ normal) * normal
    count = round(float(positions[-1] - positions[0]) / spacing_zyx_mm[0]) + 1
    return dataclasses.replace(
        grid,
        shape_zyx=(count, *grid.shape_zyx[1:]),
        slice_origins_lps_mm=tuple(
            _vector(origin + index * spacing_zyx_mm[0] * normal) for index in range(count)
        ),
    )


def _cranial_region(hu_zyx: NDArray[np.float32], grid: VoxelGrid) -> Box:
    """Return the box around the skull, from its top down as far as a brain can reach.

    Its sides come from all planes, so that a missing bone flap opens none: the skull's base is
    as wide as its vault. A scan without bone is looked at wherever there is head.
    """
    head = head_box(hu_zyx)
    bone = hu_zyx[head] > _BONE_HU
    counts = [np.count_nonzero(bone, axis=axes) for axes in ((1, 2), (0, 2), (0, 1))]
    sides = []
    for axis, (count, side, step) in enumerate(
        zip(counts, head, grid.spacing_zyx_mm, strict=True)
    ):
        area = count * math.prod(grid.spacing_zyx_mm) / step
        met = np.flatnonzero(area >= _LEAST_BONE_MM2)
        if not met.size:
            return head
        margin = math.ceil(_BONE_MARGIN_MM / step)
        low, high = int(met[0]) - margin, int(met[-1]) + 1 + margin
        if axis == 0:
            low = high - math.ceil(_CRANIAL_MM / step)
        sides.append(slice(max(side.start + low, 0), min(side.start + high, hu_zyx.shape[axis])))
    return (sides[0], sides[1], sides[2])


def _wanted_planes(source: VoxelGrid, grid: VoxelGrid, region: Box) -> tuple[list[int], VoxelGrid]:
    """Return the planes nearest to the slices, and the grid of what is computed on them.

    Each plane stands at its slice; where slices are closer than planes, at its own place.
    """
    normal = grid.normal_lps
    start = grid.slice_positions_mm[0]
    places = source.slice_positions_mm - start
    nearest = np.rint(places / grid.spacing_zyx_mm[0]).astype(int)
    inside = (nearest >= region[0].start) & (nearest < region[0].stop)
    if not inside.any():  # slices so far apart that none lies within: take the nearest one
        inside[np.argmin(np.abs(nearest - region[0].stop))] = True
        nearest = np.clip(nearest, region[0].start, region[0].stop - 1)
    planes = np.unique(nearest[inside])
    one_each = len(planes) == np.count_nonzero(inside)
    heights = places[inside] if one_each else planes * grid.spacing_zyx_mm[0]
    inner = crop_grid(grid, (slice(0, grid.shape_zyx[0]), *region[1:]))
    origin = np.asarray(inner.slice_origins_lps_mm[0])
    layers = dataclasses.replace(
        inner,
        shape_zyx=(len(planes), *inner.shape_zyx[1:]),
        slice_origins_lps_mm=tuple(_vector(origin + height * normal) for height in heights),
    )
    return [int(plane) for plane in planes], layers


def _vector(values: NDArray[np.float64]) -> Vector:
    x, y, z = (float(value) for value in values)
    return (x, y, z)
