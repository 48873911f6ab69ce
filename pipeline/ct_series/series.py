"""The way from the instances of one series to a CT volume."""

import warnings
from collections.abc import Iterable, Sequence

from pydicom.dataset import Dataset

from pipeline.ct_series.body_part import refuse_other_body_part
from pipeline.ct_series.decoded_images import DecodedImages
from pipeline.ct_series.decoding import decode_volume, is_lossy
from pipeline.ct_series.geometry import geometry_flags, grid_of, thicknesses_mm
from pipeline.ct_series.screening import axial_images
from pipeline.ct_series.slices import CtSlice, read_slice
from pipeline.ct_series.stack import one_per_position, parallel_slices
from pipeline.quality_flags import QualityFlag
from pipeline.volume import CtVolume


def read_ct_series(
    instances: Iterable[Dataset], *, decoded: DecodedImages | None = None
) -> CtVolume:
    """Return the CT volume that the instances of one series hold.

    Slices are ordered by their positions, from inferior to superior; nothing else in a header is
    believed about the order. Localizers, captures and dose pages are left out. Tilted, uneven and
    incomplete stacks are described by the grid as they are, and flagged.

    Parameters
    ----------
    instances : iterable of Dataset
        The instances of one series in any order, with pixel data and file meta information, CT
        Image Storage or (Legacy Converted) Enhanced CT Image Storage.
    decoded : DecodedImages, optional
        Holds what was decoded of these very data sets before. The volume is the same without.

    Returns
    -------
    CtVolume
        Hounsfield units on the grid of the slices, with the source and thickness of each.

    Raises
    ------
    SeriesRejectedError
        If the series cannot be analysed; says what was found and what would have been needed,
        without any patient attribute.
    """
    decode = (decoded or DecodedImages()).take_hu
    with warnings.catch_warnings():
        # pydicom warns of malformed values and repeats them, patient's names included.
        warnings.simplefilter("ignore")
        images, has_others = axial_images(instances)
        refuse_other_body_part(images)
        stack, has_strays = parallel_slices([read_slice(image) for image in images])
        slices, has_duplicates = one_per_position(stack)
        grid = grid_of(slices)
        flags = {
            QualityFlag.NON_CT_DROPPED: has_others or has_strays,
            QualityFlag.DUPLICATE_POSITIONS: has_duplicates,
            **_header_flags(slices),
        }
        return CtVolume(
            hu_zyx=decode_volume(slices, decode),
            grid=grid,
            sources=tuple(image.source for image in slices),
            slice_thickness_mm=thicknesses_mm(slices),
            flags=geometry_flags(slices, grid)
            | frozenset(flag for flag, is_set in flags.items() if is_set),
        )


def _header_flags(slices: Sequence[CtSlice]) -> dict[QualityFlag, bool]:
    return {
        QualityFlag.LOSSY_SOURCE: any(is_lossy(image.header) for image in slices),
        QualityFlag.CONTRAST_SUSPECTED: any(image.has_contrast for image in slices),
    }
