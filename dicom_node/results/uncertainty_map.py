"""The doubt of the segmentation as a Parametric Map on the grid of the source images."""

from typing import Final

import numpy as np
from highdicom import VOILUTTransformation
from highdicom.pm import ParametricMap, RealWorldValueMapping
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from dicom_node.results import codes, wording
from dicom_node.results.context import ResultContext
from dicom_node.results.framed_image import finish, slice_names
from dicom_node.results.identity import ResultIdentity, ResultRole
from dicom_node.results.source import SourceSeries

SERIES_NUMBER: Final = 906
SERIES_DESCRIPTION: Final = f"AI uncertainty map {wording.RESEARCH_MARK}"

#: Nats per stored value. 16 bits reach to 6.55 nats, the entropy of 700 classes, in steps finer
#: than anybody can see; half the size of floats, and every viewer reads integers.
NATS_PER_STEP: Final = 1e-4
_LARGEST: Final = 65535

#: The window of a fair coin: 0 to ln 2 nats from black to white.
_WINDOW_STEPS: Final = round(float(np.log(2)) / NATS_PER_STEP)


def encode_uncertainty_map(
    uncertainty_zyx: NDArray[np.float32],
    *,
    source: SourceSeries,
    identity: ResultIdentity,
    context: ResultContext,
) -> Dataset:
    """Return a Parametric Map with one frame per slice (PS3.3, section A.75).

    Stored values times `NATS_PER_STEP` are the entropy in nats (PS3.3, section C.7.6.16.2.11).
    Every frame lies exactly on one source image and names it, so that tilted, uneven and
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
    made = _map(_stored_values(uncertainty_zyx), names, source, identity, context)
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
    stored_zyx: NDArray[np.uint16],
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
        pixel_array=stored_zyx,
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
            VOILUTTransformation(window_center=_WINDOW_STEPS / 2, window_width=_WINDOW_STEPS)
        ],
        transfer_syntax_uid=ExplicitVRLittleEndian,
        content_description="Entropy of the segmentation, research use only",
        content_creator_name=f"{context.model_name}^",
        content_label="UNCERTAINTY",
    )


def _stored_values(uncertainty_zyx: NDArray[np.float32]) -> NDArray[np.uint16]:
    steps = np.rint(uncertainty_zyx / np.float32(NATS_PER_STEP))
    return np.asarray(np.clip(steps, 0, _LARGEST), dtype=np.uint16)


def _mapping() -> RealWorldValueMapping:
    return RealWorldValueMapping(
        lut_label="ENTROPY",
        lut_explanation="Entropy of the segmentation in nats",
        unit=codes.NO_UNITS,
        value_range=(0, _LARGEST),
        slope=NATS_PER_STEP,
        intercept=0.0,
        quantity_definition=codes.ENTROPY,
    )
