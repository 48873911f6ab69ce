"""The part of a scan that holds the head, so that no network time is spent on air."""

import dataclasses

import numpy as np
from numpy.typing import NDArray

from pipeline.volume import VoxelGrid

Box = tuple[slice, slice, slice]

#: What is denser than this is no air, fat or foam; HU.
_SOLID_HU = 0.0

#: Pixels kept around the head in the plane.
_MARGIN_PX = 8


def head_box(hu_zyx: NDArray[np.float32]) -> Box:
    """Return the box around the largest solid thing of a scan, all slices kept.

    Thin structures such as the table and the head rest are opened away first. Without
    anything solid the box is the whole scan.
    """
    from scipy import ndimage  # type: ignore[import-untyped] # scipy ships no types

    solid = np.stack(
        [ndimage.binary_opening(plane[::2, ::2] > _SOLID_HU, iterations=2) for plane in hu_zyx]
    )
    labels, count = ndimage.label(solid)
    depth, rows, columns = hu_zyx.shape
    if count == 0:
        return (slice(0, depth), slice(0, rows), slice(0, columns))
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    largest = labels == int(np.argmax(sizes))
    ys = 2 * np.flatnonzero(largest.any(axis=(0, 2)))
    xs = 2 * np.flatnonzero(largest.any(axis=(0, 1)))
    return (
        slice(0, depth),
        slice(max(int(ys[0]) - _MARGIN_PX, 0), min(int(ys[-1]) + _MARGIN_PX + 2, rows)),
        slice(max(int(xs[0]) - _MARGIN_PX, 0), min(int(xs[-1]) + _MARGIN_PX + 2, columns)),
    )


def crop_grid(grid: VoxelGrid, box: Box) -> VoxelGrid:
    """Return the grid of the voxels within a box."""
    z, y, x = box
    shift = y.start * grid.pixel_spacing_yx_mm[0] * np.asarray(grid.column_cosine_lps)
    shift = shift + x.start * grid.pixel_spacing_yx_mm[1] * np.asarray(grid.row_cosine_lps)
    origins = np.asarray(grid.slice_origins_lps_mm)[z] + shift
    return dataclasses.replace(
        grid,
        shape_zyx=(z.stop - z.start, y.stop - y.start, x.stop - x.start),
        slice_origins_lps_mm=tuple((float(a), float(b), float(c)) for a, b, c in origins),
    )
