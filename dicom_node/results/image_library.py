"""The image library of the report: which images it rests on, and where they lie.

What all slices share is said once for their group; each image adds its position only. (One
group with 17 descriptors per image, as libraries write it, makes validators run for minutes.)
"""

from collections.abc import Sequence
from typing import Final

from highdicom.sr import (
    CodeContentItem,
    ContainerContentItem,
    ContentItem,
    ContentSequence,
    ImageContentItem,
    NumContentItem,
    RelationshipTypeValues,
    UIDRefContentItem,
)
from pydicom.sr.coding import Code

from dicom_node.results import codes
from dicom_node.results.source import SourceSeries

_CONTAINS: Final = RelationshipTypeValues.CONTAINS
_CONTEXT: Final = RelationshipTypeValues.HAS_ACQ_CONTEXT
#: Decimals of a position; scanners round to 0.01 mm or coarser.
_POSITION_DECIMALS: Final = 4
_COSINE_DECIMALS: Final = 6


def image_library(source: SourceSeries) -> ContainerContentItem:
    """Return TID 1600 with one group: the CT images."""
    items = [*_shared_descriptors(source), *_source_entries(source)]
    return _container(codes.IMAGE_LIBRARY, [_container(codes.IMAGE_LIBRARY_GROUP, items)])


def _shared_descriptors(source: SourceSeries) -> list[ContentItem]:
    """Return TID 1602 and 1604 for the whole group."""
    grid = source.grid
    _, rows, columns = grid.shape_zyx
    vertical_mm, horizontal_mm = grid.pixel_spacing_yx_mm
    cosines = (*grid.row_cosine_lps, *grid.column_cosine_lps)
    return [
        _code(codes.MODALITY, codes.CT),
        UIDRefContentItem(
            name=codes.FRAME_OF_REFERENCE_UID,
            value=source.frame_of_reference_uid,
            relationship_type=_CONTEXT,
        ),
        _number(codes.PIXEL_ROWS, rows, codes.PIXELS),
        _number(codes.PIXEL_COLUMNS, columns, codes.PIXELS),
        _number(codes.HORIZONTAL_SPACING, round(horizontal_mm, 6), codes.MILLIMETER),
        _number(codes.VERTICAL_SPACING, round(vertical_mm, 6), codes.MILLIMETER),
        *(
            _number(name, round(value, _COSINE_DECIMALS) + 0.0, codes.COSINE)
            for name, value in zip(codes.IMAGE_ORIENTATION, cosines, strict=True)
        ),
    ]


def _source_entries(source: SourceSeries) -> Sequence[ContentItem]:
    """Return one entry per instance; a single-frame one says where it lies."""
    if any(image.frame_number is not None for image in source.images):
        return [
            _image(image.sop_class_uid, image.sop_instance_uid) for image in source.instances()
        ]
    entries = []
    for image, origin in zip(source.images, source.grid.slice_origins_lps_mm, strict=True):
        entry = _image(image.sop_class_uid, image.sop_instance_uid)
        entry.ContentSequence = ContentSequence(
            [
                _number(name, round(value, _POSITION_DECIMALS) + 0.0, codes.MILLIMETER)
                for name, value in zip(codes.IMAGE_POSITION, origin, strict=True)
            ]
        )
        entries.append(entry)
    return entries


def _image(sop_class_uid: str, sop_instance_uid: str) -> ImageContentItem:
    return ImageContentItem(
        name=codes.SOURCE,
        referenced_sop_class_uid=sop_class_uid,
        referenced_sop_instance_uid=sop_instance_uid,
        relationship_type=_CONTAINS,
    )


def _container(name: Code, items: Sequence[ContentItem]) -> ContainerContentItem:
    container = ContainerContentItem(name=name, relationship_type=_CONTAINS)
    container.ContentSequence = ContentSequence(items)
    return container


def _code(name: Code, value: Code) -> CodeContentItem:
    return CodeContentItem(name=name, value=value, relationship_type=_CONTEXT)


def _number(name: Code, value: float, unit: Code) -> NumContentItem:
    return NumContentItem(name=name, value=value, unit=unit, relationship_type=_CONTEXT)
