"""The three slices that the classifier sees: Max-1, Max, Max+1 on the native grid."""

import math
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import EmptyHematomaError, GeometryError
from pipeline.slice_input import RoiShape, SliceInput
from pipeline.volume import CtVolume, HematomaMask, VoxelGrid
from pipeline.windowing import apply_window

#: Slice step of the published study, in mm: its neighbours Max-1 and Max+1 lie this far off.
NEIGHBOUR_DISTANCE_MM = 5.0

#: Below this step the next slice shows nearly the same picture as Max, so the neighbour is
#: looked for at `NEIGHBOUR_DISTANCE_MM` instead: the native slice nearest to it.
THIN_STEP_MM = NEIGHBOUR_DISTANCE_MM / 2


class TripletPosition(StrEnum):
    """Place of a slice relative to the one of largest hematoma area, inferior to superior."""

    MAX_MINUS_1 = "max-1"
    MAX = "max"
    MAX_PLUS_1 = "max+1"


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionOfInterest:
    """Rectangle of pixels in one slice, half-open: rows y0..y1-1, columns x0..x1-1."""

    y0: int
    y1: int
    x0: int
    x1: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TripletSlice:
    """One native slice of the triplet, cropped and windowed.

    Attributes
    ----------
    position : TripletPosition
        Relation to the slice of largest area.
    slice_index : int
        Index in the source volume.
    roi : RegionOfInterest
        The rectangle that was cropped.
    image_yx : ndarray of uint8
        Grey levels of the window, 0..255, one for each pixel of the rectangle; finer for the
        crop of the released code. Read-only.
    """

    position: TripletPosition
    slice_index: int
    roi: RegionOfInterest
    image_yx: NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceTriplet:
    """Max-1, Max, Max+1, or which of them is absent and why.

    Attributes
    ----------
    slices : tuple of TripletSlice
        The slices that exist, inferior to superior. Max is always among them but in the crop
        of the released code.
    absent : tuple of (TripletPosition, str)
        The positions that do not exist, each with a reason.
    """

    slices: tuple[TripletSlice, ...]
    absent: tuple[tuple[TripletPosition, str], ...] = ()


def max_area_slice(mask: HematomaMask) -> int:
    """Return the slice with the largest hematoma cross-section.

    Of equal slices the most inferior one is taken, so that the classifier's input depends
    on nothing but the mask.

    Raises
    ------
    EmptyHematomaError
        If the mask holds no hematoma.

    References
    ----------
    .. [1] "An End-to-End Deep Learning Pipeline for Hematoma Expansion Prediction in
       Spontaneous Intracerebral Hemorrhage Based on Non-Contrast Computed Tomography",
       npj Digital Medicine (2025), stage 3: slices Max-1, Max, Max+1.
    """
    if mask.is_empty:
        raise EmptyHematomaError("No slice can be the largest: the mask is empty")
    return int(np.argmax(np.count_nonzero(mask.voxels_zyx, axis=(1, 2))))


def crop_triplet(
    volume: CtVolume, mask: HematomaMask, *, how: SliceInput | None = None
) -> SliceTriplet:
    """Return Max-1, Max and Max+1 cropped around the hematoma, in the brain window.

    The slices are native ones. Each is cropped to a square (or box) around its own largest
    connected piece of hematoma, with a margin of brain on every side. A neighbour that lies
    outside the scan, or holds no hematoma, is absent with a reason.

    Parameters
    ----------
    volume : CtVolume
        The CT in Hounsfield units.
    mask : HematomaMask
        Mask on the grid of `volume`.
    how : SliceInput, optional
        Shape and margin of the crop; the defaults if not given.

    Raises
    ------
    EmptyHematomaError
        If the mask holds no hematoma.
    GeometryError
        If mask and volume lie on different grids.
    """
    how = how or SliceInput()
    if how.roi is RoiShape.AS_RELEASED:
        from pipeline.released_triplet import crop_released_triplet

        return crop_released_triplet(volume, mask)
    if mask.grid != volume.grid:
        raise GeometryError("Mask and volume must lie on the same grid")
    largest = max_area_slice(mask)
    wanted = (
        (TripletPosition.MAX_MINUS_1, neighbour_slice(mask.grid, largest, direction=-1)),
        (TripletPosition.MAX, largest),
        (TripletPosition.MAX_PLUS_1, neighbour_slice(mask.grid, largest, direction=1)),
    )
    slices: list[TripletSlice] = []
    absent: list[tuple[TripletPosition, str]] = []
    for position, index in wanted:
        if index is None:
            absent.append((position, "the scan ends before this slice"))
        elif not mask.voxels_zyx[index].any():
            absent.append((position, "the slice holds no hematoma"))
        else:
            slices.append(_crop(volume, mask, position=position, slice_index=index, how=how))
    return SliceTriplet(slices=tuple(slices), absent=tuple(absent))


def neighbour_slice(grid: VoxelGrid, index: int, *, direction: int) -> int | None:
    """Return the slice that counts as the next one above or below, None beyond the scan.

    It is the adjacent slice where that lies at least `THIN_STEP_MM` away. In a thin-slice
    series it is the native slice nearest to `NEIGHBOUR_DISTANCE_MM` along the normal, of
    two equally near ones the closer to `index`, provided that the scan reaches to within
    half that distance of it.

    Parameters
    ----------
    grid : VoxelGrid
        Grid of the CT series.
    index : int
        Slice whose neighbour is wanted.
    direction : int
        1 to superior, -1 to inferior.
    """
    adjacent = index + direction
    if not 0 <= adjacent < grid.shape_zyx[0]:
        return None
    positions_mm = grid.slice_positions_mm
    if abs(positions_mm[adjacent] - positions_mm[index]) >= THIN_STEP_MM:
        return adjacent
    outward = np.arange(adjacent, grid.shape_zyx[0] if direction > 0 else -1, direction)
    target_mm = positions_mm[index] + direction * NEIGHBOUR_DISTANCE_MM
    off_mm = np.abs(positions_mm[outward] - target_mm)
    if off_mm.min() > NEIGHBOUR_DISTANCE_MM / 2:
        return None
    return int(outward[off_mm.argmin()])


def _crop(
    volume: CtVolume,
    mask: HematomaMask,
    *,
    position: TripletPosition,
    slice_index: int,
    how: SliceInput,
) -> TripletSlice:
    roi = _region_of_interest(
        mask.voxels_zyx[slice_index], pixel_spacing_yx_mm=mask.grid.pixel_spacing_yx_mm, how=how
    )
    hu_yx = volume.hu_zyx[slice_index, roi.y0 : roi.y1, roi.x0 : roi.x1]
    image_yx = apply_window(hu_yx, how.window)
    image_yx.flags.writeable = False
    return TripletSlice(position=position, slice_index=slice_index, roi=roi, image_yx=image_yx)


def _region_of_interest(
    hematoma_yx: NDArray[np.bool_], *, pixel_spacing_yx_mm: tuple[float, float], how: SliceInput
) -> RegionOfInterest:
    """Return the square or box around the largest piece of hematoma, clipped to the image."""
    occupied_y, occupied_x = np.nonzero(_largest_piece(hematoma_yx))
    row_mm, column_mm = pixel_spacing_yx_mm
    height_mm, width_mm = np.ptp(occupied_y) * row_mm, np.ptp(occupied_x) * column_mm
    if how.roi is RoiShape.SQUARE:
        height_mm = width_mm = max(height_mm, width_mm)
    reach_y = (float(height_mm) / 2 + how.margin_mm) / row_mm
    reach_x = (float(width_mm) / 2 + how.margin_mm) / column_mm
    y0, y1 = _around(occupied_y, reach_y, hematoma_yx.shape[0])
    x0, x1 = _around(occupied_x, reach_x, hematoma_yx.shape[1])
    return RegionOfInterest(y0=y0, y1=y1, x0=x0, x1=x1)


def _around(occupied: NDArray[np.int64], reach: float, size: int) -> tuple[int, int]:
    """Return begin and end of the pixels within `reach` of the middle of `occupied`."""
    middle = (int(occupied.min()) + int(occupied.max())) / 2
    begin = math.floor(middle - reach + 0.5)
    return max(begin, 0), min(begin + round(2 * reach) + 1, size)


def _largest_piece(hematoma_yx: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the largest 8-connected piece; of equal ones the first in reading order."""
    from scipy.ndimage import label  # type: ignore[import-untyped] # scipy ships no types

    pieces, _ = label(hematoma_yx, structure=np.ones((3, 3)))
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    return np.asarray(pieces == int(sizes.argmax()))
