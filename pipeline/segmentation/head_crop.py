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
    return box_of_head(head_rectangles(hu_zyx))


def head_rectangles(hu_zyx: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return where the head can be: in each slice the rectangle around it, with a margin.

    A superset of the head on purpose: what is left out is sure to be air, table or hair. The
    rectangle encloses the slice's part of the largest solid thing of the scan. Without
    anything solid everything counts.

    Parameters
    ----------
    hu_zyx : ndarray, shape (Z, Y, X)
        Hounsfield units.

    Returns
    -------
    ndarray of bool, shape (Z, Y, X)
    """
    largest = _largest_solid(hu_zyx)
    if largest is None:
        return np.ones(hu_zyx.shape, dtype=bool)
    inside = np.zeros(hu_zyx.shape, dtype=bool)
    for index, plane in enumerate(largest):
        if plane.any():
            rows = _with_margin(plane.any(axis=1), hu_zyx.shape[1])
            inside[index, rows, _with_margin(plane.any(axis=0), hu_zyx.shape[2])] = True
    return inside


def box_of_head(head_zyx: NDArray[np.bool_]) -> Box:
    """Return the box around the rectangles of `head_rectangles`, all slices kept."""
    ys = np.flatnonzero(head_zyx.any(axis=(0, 2)))
    xs = np.flatnonzero(head_zyx.any(axis=(0, 1)))
    return (
        slice(0, len(head_zyx)),
        slice(int(ys[0]), int(ys[-1]) + 1),
        slice(int(xs[0]), int(xs[-1]) + 1),
    )


def _largest_solid(hu_zyx: NDArray[np.float32]) -> NDArray[np.bool_] | None:
    """Return the largest solid thing at half the resolution in the plane, if there is any."""
    from scipy import ndimage  # type: ignore[import-untyped] # scipy ships no types

    solid = np.stack(
        [ndimage.binary_opening(plane[::2, ::2] > _SOLID_HU, iterations=2) for plane in hu_zyx]
    )
    labels, count = ndimage.label(solid)
    if count == 0:
        return None
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return np.asarray(labels == int(np.argmax(sizes)))


def _with_margin(line: NDArray[np.bool_], size: int) -> slice:
    """Return the full-resolution range of what is set at half resolution, with the margin."""
    found = 2 * np.flatnonzero(line)
    return slice(max(int(found[0]) - _MARGIN_PX, 0), min(int(found[-1]) + _MARGIN_PX + 2, size))


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
