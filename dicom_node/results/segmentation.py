"""The hematoma as a DICOM Segmentation on the grid of the source images."""

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
from pydicom.uid import ExplicitVRLittleEndian

from dicom_node.results import codes, wording
from dicom_node.results.context import ResultContext
from dicom_node.results.framed_image import finish, slice_names
from dicom_node.results.identity import ResultIdentity, ResultRole
from dicom_node.results.source import SourceSeries
from pipeline.volume import HematomaMask

SERIES_NUMBER: Final = 901
SERIES_DESCRIPTION: Final = f"AI Hematoma SEG {wording.RESEARCH_MARK}"
#: Name of the lesion in Tracking ID; the same in segmentation and report.
LESION: Final = "hematoma-1"
#: Recommended display colour: a clear red, L* a* b* of sRGB (220, 40, 40).
_COLOR: Final = CIELabColor(48.0, 68.0, 48.0)


def encode_segmentation(
    mask: HematomaMask,
    *,
    source: SourceSeries,
    identity: ResultIdentity,
    context: ResultContext,
) -> Dataset:
    """Return a BINARY Segmentation with one segment (PS3.3, section A.51).

    Every frame lies exactly on one source image and names it, so that tilted, uneven and
    enhanced multi-frame sources need no resampling. Frames without hematoma are left out.

    Parameters
    ----------
    mask : HematomaMask
        Mask on the grid of `source`, not empty.

    Returns
    -------
    Dataset
        Explicit VR Little Endian, ready to be written; a repeat gives the same bytes.
    """
    names = slice_names(source, identity)
    segmentation = Segmentation(
        source_images=[
            source.slice_header(index, sop_instance_uid=name) for index, name in enumerate(names)
        ],
        pixel_array=mask.voxels_zyx.astype(np.uint8),
        segmentation_type=SegmentationTypeValues.BINARY,
        segment_descriptions=[_segment(identity, context)],
        series_instance_uid=identity.uid(ResultRole.SEGMENTATION_SERIES),
        series_number=SERIES_NUMBER,
        sop_instance_uid=identity.uid(ResultRole.SEGMENTATION),
        instance_number=1,
        manufacturer=context.manufacturer,
        manufacturer_model_name=context.model_name,
        software_versions=context.software_versions[0],
        device_serial_number=context.device_serial_number,
        content_description="Intracerebral hematoma, research use only",
        content_creator_name=f"{context.model_name}^",
        content_label="HEMATOMA",
        transfer_syntax_uid=ExplicitVRLittleEndian,
        omit_empty_frames=True,
    )
    return finish(
        segmentation,
        names,
        dimensions_uid=identity.uid(ResultRole.SEGMENTATION_DIMENSIONS),
        source=source,
        context=context,
        series_number=SERIES_NUMBER,
        series_description=SERIES_DESCRIPTION,
    )


def _segment(identity: ResultIdentity, context: ResultContext) -> SegmentDescription:
    model = context.segmentation_card
    return SegmentDescription(
        segment_number=1,
        segment_label="Hematoma",
        segmented_property_category=codes.MORPHOLOGICALLY_ABNORMAL,
        segmented_property_type=codes.HEMORRHAGE,
        algorithm_type=SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=AlgorithmIdentificationSequence(
            name=model.name,
            family=codes.ARTIFICIAL_INTELLIGENCE,
            version=model.version,
            source=context.manufacturer,
        ),
        tracking_uid=identity.lesion_uid(LESION),
        tracking_id=LESION,
        anatomic_regions=[codes.BRAIN],
        display_color=_COLOR,
    )
