"""A mask as a DICOM Segmentation on the grid of the source images."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from highdicom import AlgorithmIdentificationSequence
from highdicom.color import CIELabColor
from highdicom.seg import (
    SegmentAlgorithmTypeValues,
    Segmentation,
    SegmentationTypeValues,
    SegmentDescription,
)
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code
from pydicom.uid import ExplicitVRLittleEndian

from dicom_node.results import codes, wording
from dicom_node.results.context import ResultContext
from dicom_node.results.framed_image import finish, slice_names
from dicom_node.results.identity import ModelIdentity, ResultIdentity, ResultRole
from dicom_node.results.source import SourceSeries
from pipeline.volume import HematomaMask

#: Name of the lesion in Tracking ID; the same in segmentation and report.
LESION: Final = "hematoma-1"


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentKind:
    """What a Segmentation says of the mask that it holds.

    Attributes
    ----------
    series_number : int
        Number of its series.
    series_description : str
        Marked as research, 1 to 64 characters.
    content_label : str
        Capitals, digits, spaces and underscores, at most 16 characters (PS3.5, VR CS).
    content_description : str
        The whole object in a few words, at most 64 characters.
    segment_label : str
        Name of the segment, at most 64 characters.
    segment_description : str
        What viewers show beside the label; empty for nothing.
    property_type : Code
        What the segment is.
    lesion : str
        Tracking ID of the segment; its Tracking UID follows from it.
    color : tuple of float
        Recommended display colour as L*, a*, b*.
    series_role, object_role, dimensions_role : ResultRole
        What its UIDs stand for.
    """

    series_number: int
    series_description: str
    content_label: str
    content_description: str
    segment_label: str
    segment_description: str = ""
    property_type: Code = codes.HEMORRHAGE
    lesion: str = LESION
    color: tuple[float, float, float]
    series_role: ResultRole
    object_role: ResultRole
    dimensions_role: ResultRole


#: The hematoma as it was measured: a clear red, sRGB (220, 40, 40).
HEMATOMA: Final = SegmentKind(
    series_number=901,
    series_description=f"AI Hematoma SEG {wording.RESEARCH_MARK}",
    content_label="HEMATOMA",
    content_description="Intracerebral hematoma, research use only",
    segment_label="Hematoma",
    color=(48.0, 68.0, 48.0),
    series_role=ResultRole.SEGMENTATION_SERIES,
    object_role=ResultRole.SEGMENTATION,
    dimensions_role=ResultRole.SEGMENTATION_DIMENSIONS,
)


def encode_segmentation(
    mask: HematomaMask,
    *,
    source: SourceSeries,
    identity: ResultIdentity,
    context: ResultContext,
    kind: SegmentKind = HEMATOMA,
    model: ModelIdentity | None = None,
    tracking_uid: str | None = None,
) -> Dataset:
    """Return a BINARY Segmentation with one segment (PS3.3, section A.51).

    Every frame lies exactly on one source image and names it, so that tilted, uneven and
    enhanced multi-frame sources need no resampling. Frames without hematoma are left out.

    Parameters
    ----------
    mask : HematomaMask
        Mask on the grid of `source`, not empty.
    kind : SegmentKind
        What the mask is.
    model : ModelIdentity, optional
        Who made it; the segmentation model if left out.
    tracking_uid : str, optional
        Tracking UID of the segment; that of the kind's lesion in the source series if left out.

    Returns
    -------
    Dataset
        Explicit VR Little Endian, ready to be written; a repeat gives the same bytes.
    """
    names = slice_names(source, identity)
    segment = _segment(
        kind,
        model or context.segmentation_card,
        tracking_uid or identity.lesion_uid(kind.lesion),
        manufacturer=context.manufacturer,
    )
    segmentation = Segmentation(
        source_images=[
            source.slice_header(index, sop_instance_uid=name) for index, name in enumerate(names)
        ],
        pixel_array=mask.voxels_zyx.astype(np.uint8),
        segmentation_type=SegmentationTypeValues.BINARY,
        segment_descriptions=[segment],
        series_instance_uid=identity.uid(kind.series_role),
        series_number=kind.series_number,
        sop_instance_uid=identity.uid(kind.object_role),
        instance_number=1,
        manufacturer=context.manufacturer,
        manufacturer_model_name=context.model_name,
        software_versions=context.software_versions[0],
        device_serial_number=context.device_serial_number,
        content_description=kind.content_description,
        content_creator_name=f"{context.model_name}^",
        content_label=kind.content_label,
        transfer_syntax_uid=ExplicitVRLittleEndian,
        omit_empty_frames=True,
    )
    return finish(
        segmentation,
        names,
        dimensions_uid=identity.uid(kind.dimensions_role),
        source=source,
        context=context,
        series_number=kind.series_number,
        series_description=kind.series_description,
    )


def _segment(
    kind: SegmentKind, model: ModelIdentity, tracking_uid: str, *, manufacturer: str
) -> SegmentDescription:
    segment = SegmentDescription(
        segment_number=1,
        segment_label=kind.segment_label,
        segmented_property_category=codes.MORPHOLOGICALLY_ABNORMAL,
        segmented_property_type=kind.property_type,
        algorithm_type=SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=AlgorithmIdentificationSequence(
            name=model.name,
            family=codes.ARTIFICIAL_INTELLIGENCE,
            version=model.version,
            source=manufacturer,
        ),
        tracking_uid=tracking_uid,
        tracking_id=kind.lesion,
        anatomic_regions=[codes.BRAIN],
        display_color=CIELabColor(*kind.color),
    )
    if kind.segment_description:
        segment.SegmentDescription = kind.segment_description
    return segment
