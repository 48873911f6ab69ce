"""From loose slices to one stack: parallel, of one matrix, one slice per position."""

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from pipeline.ct_series.refusal import refusal
from pipeline.ct_series.slices import CtSlice
from pipeline.rejection import RejectionCode

#: Slices turned against each other by more than this are not parallel: 0.9 mm at the edge of a
#: head, two pixels.
PARALLEL_TOLERANCE_DEG = 0.5

#: Pixel spacings that differ by less (relative) are the same.
SPACING_TOLERANCE = 1e-3

#: Slices of another orientation or matrix that may be left out, as a part of the stack: bolus
#: tracking or a repeated single slice. More of them are anatomy that must not get lost silently.
STRAY_FRACTION = 0.1

#: Slices closer along the normal than this show the same position. The thinnest slices are
#: 0.2 mm apart, tables return to a position within 0.05 mm.
SAME_POSITION_MM = 0.1

#: Images per position from which a series is no repeated slice but a series in time.
DYNAMIC_IMAGES = 3.0


def parallel_slices(slices: Sequence[CtSlice]) -> tuple[list[CtSlice], bool]:
    """Return the slices that make one stack, and whether strays were left out.

    Raises
    ------
    SeriesRejectedError
        MIXED_ORIENTATION or MIXED_SERIES if several stacks share the series.
    """
    oriented, turned = _largest_group(slices, _same_orientation)
    if len(turned) > STRAY_FRACTION * len(oriented):
        raise refusal(
            RejectionCode.MIXED_ORIENTATION,
            found=f"{len(turned)} of {len(slices)} slices turned against the others",
            needed="parallel slices",
        )
    stack, others = _largest_group(oriented, _same_matrix)
    if len(others) > STRAY_FRACTION * len(stack):
        raise refusal(
            RejectionCode.MIXED_SERIES,
            found=f"{_matrix(stack[0])} and {_matrix(others[0])} pixels",
            needed="one matrix and pixel spacing",
        )
    return stack, len(stack) < len(slices)


def one_per_position(slices: Sequence[CtSlice]) -> tuple[list[CtSlice], bool]:
    """Return one slice per position, inferior to superior, and whether there were several.

    Of several images at one position the one without contrast agent is taken, then the original,
    then that of the more common kernel and thickness, then the latest acquisition (a slice is
    repeated because the first was spoilt), then the last instance number and UID; so that the
    choice depends on nothing but the images.

    Raises
    ------
    SeriesRejectedError
        MIXED_SERIES if most positions were imaged again and again (perfusion, bolus tracking).
    """
    groups = _groups_by_position(slices)
    repeats = float(np.median([len(group) for group in groups]))
    if repeats >= DYNAMIC_IMAGES and len(groups) > 1:
        raise refusal(
            RejectionCode.MIXED_SERIES,
            found=f"{repeats:g} images per slice position, a series in time",
            needed="one image per position",
        )
    families = Counter(_family(image) for image in slices)
    chosen = [max(group, key=lambda image: _preference(image, families)) for group in groups]
    return chosen, len(chosen) < len(slices)


def normal_of(image: CtSlice) -> np.ndarray:
    """Return the unit normal of a slice that points to superior, shape (3,)."""
    normal = np.cross(image.row_cosine_lps, image.column_cosine_lps)
    return np.asarray(normal if normal[2] >= 0 else -normal)


def _groups_by_position(slices: Sequence[CtSlice]) -> list[list[CtSlice]]:
    normal = normal_of(slices[0])
    located = sorted(
        ((float(np.dot(image.origin_lps_mm, normal)), image) for image in slices),
        key=lambda pair: pair[0],
    )
    groups: list[list[CtSlice]] = []
    start = -np.inf
    for position, image in located:
        if position - start >= SAME_POSITION_MM:
            groups.append([])
            start = position
        groups[-1].append(image)
    return groups


def _preference(image: CtSlice, families: Counter[tuple[str, ...]]) -> tuple[object, ...]:
    header = image.header
    frame_acquisition = header.number("FrameAcquisitionNumber")
    acquisition = frame_acquisition or header.number("AcquisitionNumber") or 0.0
    return (
        not image.has_contrast,
        "ORIGINAL" in {*header.texts("ImageType")[:1], *header.texts("FrameType")[:1]},
        families[_family(image)],
        acquisition,
        header.number("InstanceNumber") or 0.0,
        image.source.sop_instance_uid,
        image.source.frame_number or 0,
    )


def _family(image: CtSlice) -> tuple[str, ...]:
    return (image.header.text("ConvolutionKernel"), str(image.thickness_mm))


def _same_orientation(one: CtSlice, other: CtSlice) -> bool:
    limit = np.cos(np.radians(PARALLEL_TOLERANCE_DEG))
    return bool(
        np.dot(one.row_cosine_lps, other.row_cosine_lps) >= limit
        and np.dot(one.column_cosine_lps, other.column_cosine_lps) >= limit
    )


def _same_matrix(one: CtSlice, other: CtSlice) -> bool:
    return one.shape_yx == other.shape_yx and bool(
        np.allclose(one.pixel_spacing_yx_mm, other.pixel_spacing_yx_mm, rtol=SPACING_TOLERANCE)
    )


def _largest_group(
    slices: Sequence[CtSlice], is_same: Callable[[CtSlice, CtSlice], bool]
) -> tuple[list[CtSlice], list[CtSlice]]:
    """Return the largest group of slices alike, and the rest."""
    groups: list[list[CtSlice]] = []
    for image in slices:
        for group in groups:
            if is_same(group[0], image):
                group.append(image)
                break
        else:
            groups.append([image])
    largest = max(groups, key=len)
    return largest, [image for group in groups if group is not largest for image in group]


def _matrix(image: CtSlice) -> str:
    rows, columns = image.shape_yx
    y, x = image.pixel_spacing_yx_mm
    return f"{rows} x {columns} of {y:g} x {x:g} mm"
