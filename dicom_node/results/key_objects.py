"""Key Object Selection: captures and the slice of largest area, for viewers that gather them."""

from collections.abc import Sequence
from typing import Final

from highdicom.ko import KeyObjectSelection, KeyObjectSelectionDocument
from pydicom.dataset import Dataset

from dicom_node.results import codes, wording
from dicom_node.results.context import ResultContext
from dicom_node.results.header import stamp
from dicom_node.results.identity import ResultIdentity, ResultRole
from dicom_node.results.report_document import device_observer
from dicom_node.results.source import SourceImage, SourceSeries
from pipeline.analysis import HematomaFound

SERIES_NUMBER: Final = 909
SERIES_DESCRIPTION: Final = f"AI HE key objects {wording.RESEARCH_MARK}"


def encode_key_objects(
    analysis: HematomaFound,
    *,
    captures: Sequence[Dataset],
    source: SourceSeries,
    identity: ResultIdentity,
    context: ResultContext,
) -> Dataset:
    """Return the selection (TID 2010, document title Of Interest)."""
    index = analysis.measurements.max_area_slice
    largest = source.images[index]
    chosen = [*captures, _of_source(source, index, largest)]
    built = KeyObjectSelectionDocument(
        evidence=chosen,
        content=KeyObjectSelection(
            document_title=codes.OF_INTEREST,
            referenced_objects=chosen,
            observer_device_context=device_observer(context),
            description=f"{wording.KEY_OBJECTS}. {wording.RESEARCH_STATEMENT}",
        ),
        series_instance_uid=identity.uid(ResultRole.KEY_OBJECTS_SERIES),
        series_number=SERIES_NUMBER,
        sop_instance_uid=identity.uid(ResultRole.KEY_OBJECTS),
        instance_number=1,
        manufacturer=context.manufacturer,
    )
    result = Dataset()
    result.update(built)
    result.preamble = built.preamble
    _say_nothing_of_purposes(result)
    _name_frame(result, largest)
    stamp(
        result,
        source=source,
        context=context,
        series_number=SERIES_NUMBER,
        series_description=SERIES_DESCRIPTION,
    )
    return result


def _of_source(source: SourceSeries, index: int, image: SourceImage) -> Dataset:
    """Return the slice of nobody with its true class, as the library wants to see it."""
    header = source.slice_header(index)
    header.SOPClassUID = image.sop_class_uid
    return header


def _say_nothing_of_purposes(result: Dataset) -> None:
    """Take the purpose from references: TID 2010 forbids it, and the library writes one."""
    for item in result.ContentSequence:
        if item.ValueType == "IMAGE" and "ConceptNameCodeSequence" in item:
            del item.ConceptNameCodeSequence


def _name_frame(result: Dataset, image: SourceImage) -> None:
    """Say which frame is meant where the slice lies in a multi-frame image."""
    if image.frame_number is None:
        return
    for item in result.ContentSequence:
        for reference in item.get("ReferencedSOPSequence", ()):
            if reference.ReferencedSOPInstanceUID == image.sop_instance_uid:
                reference.ReferencedFrameNumber = image.frame_number
