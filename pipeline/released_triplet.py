"""The triplet as the released code of the npj study cuts it, for those who hold its weights.

It differs from the paper, and from `pipeline.triplet`, in what it calls a slice: image and mask
are first enlarged 3.5 times along every axis, the mask too by cubic B-splines whose values are
cut down to whole numbers, so that about half of the mask is lost and the three "slices" span
3 mm of a stack of 5 mm slices [1]_.

References
----------
.. [1] ``crop2DROI.ipynb`` of the repository DeepMedX/sICH_HE, 2025.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import EmptyHematomaError, GeometryError
from pipeline.slice_input import RELEASED_WINDOW
from pipeline.triplet import RegionOfInterest, SliceTriplet, TripletPosition, TripletSlice
from pipeline.volume import CtVolume, HematomaMask

#: How many times the released code enlarges every axis.
FACTOR = 3.5

#: Voxels around the hematoma that are enlarged with it. The influence of a voxel on a cubic
#: B-spline fades by 0.27 a voxel: after 24 nothing of it is left in double precision.
_REACH = 24

#: Positions of the enlarged grid coincide with voxels only at every second voxel.
_PERIOD = 2


def crop_released_triplet(volume: CtVolume, mask: HematomaMask) -> SliceTriplet:
    """Return the three enlarged sections that the released code would have saved.

    Indices and rectangles on the native grid are those that the sections lie nearest to.

    Parameters
    ----------
    volume : CtVolume
        The CT in Hounsfield units.
    mask : HematomaMask
        Mask on the grid of `volume`.

    Raises
    ------
    EmptyHematomaError
        If the mask holds no hematoma, or the enlarged one does not any more.
    GeometryError
        If mask and volume lie on different grids.
    """
    if mask.grid != volume.grid:
        raise GeometryError("Mask and volume must lie on the same grid")
    if mask.is_empty:
        raise EmptyHematomaError("There is nothing to cut: the mask is empty")
    start, stop = _surroundings(mask.voxels_zyx)
    part = tuple(slice(*ends) for ends in zip(start, stop, strict=True))
    hu_zyx = _enlarged(np.rint(volume.hu_zyx[part]).astype(np.int16))
    lesion_zyx = _enlarged(mask.voxels_zyx[part].astype(np.uint8))
    areas = lesion_zyx.sum(axis=(1, 2), dtype=np.int64)
    if not areas.any():
        raise EmptyHematomaError("Nothing of the hematoma is left by the released code's crop")
    largest = int(areas.argmax())
    component_zyx = _largest_component(lesion_zyx)
    slices: list[TripletSlice] = []
    absent: list[tuple[TripletPosition, str]] = []
    for position, index in zip(TripletPosition, range(largest - 1, largest + 2), strict=True):
        if not 0 <= index < len(areas):
            absent.append((position, "the scan ends before this slice"))
        elif not component_zyx[index].any():
            absent.append((position, "the slice holds nothing of the largest component"))
        else:
            cut = _cut(hu_zyx[index], component_zyx[index])
            slices.append(_native(cut, position=position, index=index, start=start))
    if not slices:
        raise EmptyHematomaError("No slice of largest area holds the largest component")
    return SliceTriplet(slices=tuple(slices), absent=tuple(absent))


def _surroundings(voxels_zyx: NDArray[np.bool_]) -> tuple[list[int], list[int]]:
    """Return begin and end of what has an influence on the hematoma, along each axis."""
    start, stop = [], []
    for axis, places in enumerate(np.nonzero(voxels_zyx)):
        start.append(max(int(places.min()) - _REACH, 0) // _PERIOD * _PERIOD)
        stop.append(min(int(places.max()) + _REACH + 1, voxels_zyx.shape[axis]))
    return start, stop


def _enlarged(values_zyx: NDArray[np.generic]) -> NDArray[np.generic]:
    """Return values on the enlarged grid by ITK's cubic B-spline, in their own whole type."""
    import SimpleITK

    sitk: Any = SimpleITK  # ships no types
    image = sitk.GetImageFromArray(values_zyx)
    resample = sitk.ResampleImageFilter()
    resample.SetOutputSpacing([1 / FACTOR] * image.GetDimension())
    resample.SetSize([int(size * FACTOR) for size in image.GetSize()])
    resample.SetInterpolator(sitk.sitkBSpline)
    return np.asarray(sitk.GetArrayFromImage(resample.Execute(image)))


def _largest_component(lesion_zyx: NDArray[np.generic]) -> NDArray[np.bool_]:
    """Return the largest piece that hangs together, also over corners."""
    from scipy.ndimage import label  # type: ignore[import-untyped] # scipy ships no types

    pieces, _ = label(lesion_zyx, structure=np.ones((3, 3, 3)))
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    return np.asarray(pieces == int(sizes.argmax()))


def _cut(
    hu_yx: NDArray[np.generic], component_yx: NDArray[np.bool_]
) -> tuple[NDArray[np.uint8], RegionOfInterest]:
    """Return the grey levels in the box around a component, and the box."""
    import SimpleITK

    sitk: Any = SimpleITK  # ships no types
    rows, columns = np.nonzero(component_yx)
    roi = RegionOfInterest(
        y0=int(rows.min()),
        y1=int(rows.max()) + 1,
        x0=int(columns.min()),
        x1=int(columns.max()) + 1,
    )
    window = sitk.IntensityWindowingImageFilter()
    window.SetWindowMinimum(RELEASED_WINDOW.level_hu - RELEASED_WINDOW.width_hu / 2)
    window.SetWindowMaximum(RELEASED_WINDOW.level_hu + RELEASED_WINDOW.width_hu / 2)
    part = np.ascontiguousarray(hu_yx[roi.y0 : roi.y1, roi.x0 : roi.x1])
    grey_yx = sitk.GetArrayFromImage(window.Execute(sitk.GetImageFromArray(part)))
    return grey_yx.astype(np.uint8), roi


def _native(
    cut: tuple[NDArray[np.uint8], RegionOfInterest],
    *,
    position: TripletPosition,
    index: int,
    start: list[int],
) -> TripletSlice:
    """Return a section with the native slice and rectangle that it lies on."""
    image_yx, roi = cut
    image_yx.flags.writeable = False
    return TripletSlice(
        position=position,
        slice_index=start[0] + round(index / FACTOR),
        roi=RegionOfInterest(
            y0=start[1] + int(roi.y0 / FACTOR),
            y1=start[1] + int((roi.y1 - 1) / FACTOR) + 1,
            x0=start[2] + int(roi.x0 / FACTOR),
            x1=start[2] + int((roi.x1 - 1) / FACTOR) + 1,
        ),
        image_yx=image_yx,
    )
