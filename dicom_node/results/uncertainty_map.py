"""The doubt of the segmentation as a Parametric Map on the grid of the source images."""

from typing import Final

import numpy as np
from highdicom import VOILUTFunctionValues, VOILUTTransformation
from highdicom.pm import ParametricMap, RealWorldValueMapping
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from dicom_node.results import codes, wording
from dicom_node.results.context import ResultContext
from dicom_node.results.framed_image import finish, slice_names
from dicom_node.results.identity import ResultIdentity, ResultRole
from dicom_node.results.source import SourceSeries
from pipeline.volume import VoxelGrid

SERIES_NUMBER: Final = 906
SERIES_DESCRIPTION: Final = f"AI uncertainty map {wording.RESEARCH_MARK}"

#: More than the entropy of 700 classes in nats; no value lies above.
_LARGEST: Final = 6.55

#: Entropy of a fair coin, ln 2 nats: from black to white.
_WINDOW_NATS: Final = float(np.log(2))


def encode_uncertainty_map(
    uncertainty_zyx: NDArray[np.float32],
    *,
    source: SourceSeries,
    identity: ResultIdentity,
    context: ResultContext,
) -> Dataset:
    """Return a Parametric Map with one frame per slice (PS3.3, section A.75).

    Values are the entropy in nats as 32-bit floats (PS3.3, section C.7.6.16.2.11): 16 bits
    would take half the room, but OHIF reads no other Parametric Map. Every frame lies exactly
    on one source image and names it, so that tilted, uneven and
    enhanced multi-frame sources need no resampling.

    Parameters
    ----------
    uncertainty_zyx : ndarray of float32, shape (Z, Y, X)
        Entropy in nats on the grid of `source`, not negative.

    Returns
    -------
    Dataset
        Explicit VR Little Endian, ready to be written; a repeat gives the same bytes.
    """
    names = slice_names(source, identity)
    made = _map(uncertainty_zyx.astype(np.float32), names, source, identity, context)
    _order_along_the_normal(made, source.grid)
    return finish(
        made,
        names,
        dimensions_uid=identity.uid(ResultRole.UNCERTAINTY_DIMENSIONS),
        source=source,
        context=context,
        series_number=SERIES_NUMBER,
        series_description=SERIES_DESCRIPTION,
    )


def _map(
    uncertainty_zyx: NDArray[np.float32],
    names: list[str],
    source: SourceSeries,
    identity: ResultIdentity,
    context: ResultContext,
) -> ParametricMap:
    """Return the object as the library builds it, of nobody."""
    return ParametricMap(
        source_images=[
            source.slice_header(index, sop_instance_uid=name) for index, name in enumerate(names)
        ],
        pixel_array=uncertainty_zyx,
        series_instance_uid=identity.uid(ResultRole.UNCERTAINTY_SERIES),
        series_number=SERIES_NUMBER,
        sop_instance_uid=identity.uid(ResultRole.UNCERTAINTY_MAP),
        instance_number=1,
        manufacturer=context.manufacturer,
        manufacturer_model_name=context.model_name,
        software_versions=context.software_versions[0],
        device_serial_number=context.device_serial_number,
        contains_recognizable_visual_features=False,
        real_world_value_mappings=[_mapping()],
        voi_lut_transformations=[
            VOILUTTransformation(
                window_center=_WINDOW_NATS / 2,
                window_width=_WINDOW_NATS,
                # The default function knows no window narrower than 1.
                voi_lut_function=VOILUTFunctionValues.LINEAR_EXACT,
            )
        ],
        transfer_syntax_uid=ExplicitVRLittleEndian,
        content_description="Entropy of the segmentation, research use only",
        content_creator_name=f"{context.model_name}^",
        content_label="UNCERTAINTY",
    )


def _order_along_the_normal(made: ParametricMap, grid: VoxelGrid) -> None:
    """Store the frames as the planes follow each other along row x column.

    The library turns them round. OHIF 3.13 reads the reference of every frame, then lays the
    frames on its volume in their stored order all the same; its volumes run along the normal.
    """
    groups = list(made.PerFrameFunctionalGroupsSequence)
    normal = np.cross(grid.row_cosine_lps, grid.column_cosine_lps)
    along_mm = [
        float(
            np.dot(np.asarray(group.PlanePositionSequence[0].ImagePositionPatient, float), normal)
        )
        for group in groups
    ]
    order = np.argsort(along_mm)
    for number, index in enumerate(order, start=1):
        groups[index].FrameContentSequence[0].DimensionIndexValues = [number]
    made.PerFrameFunctionalGroupsSequence = [groups[index] for index in order]
    frames = np.frombuffer(made.FloatPixelData, "<f4").reshape(len(groups), -1)
    made.FloatPixelData = frames[order].tobytes()


def _mapping() -> RealWorldValueMapping:
    return RealWorldValueMapping(
        lut_label="ENTROPY",
        lut_explanation="Entropy of the segmentation in nats",
        unit=codes.NO_UNITS,
        value_range=(0.0, _LARGEST),
        slope=1.0,
        intercept=0.0,
        quantity_definition=codes.ENTROPY,
    )
