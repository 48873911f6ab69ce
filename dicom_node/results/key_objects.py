"""Key Object Selection: captures and slices of largest area, for viewers that gather them."""

from collections.abc import Sequence
from typing import Final

from highdicom.ko import KeyObjectSelection, KeyObjectSelectionDocument
from pydicom.dataset import Dataset

from dicom_node.results import codes, wording
from dicom_node.results.context import ResultContext
from dicom_node.results.header import stamp
from dicom_node.results.identity import ResultIdentity, ResultRole
from dicom_node.results.report_document import DocumentKind, device_observer
from dicom_node.results.source import SourceImage, SourceSeries
from pipeline.analysis import HematomaFound

KEY_OBJECTS: Final = DocumentKind(
    series_number=909,
    series_description=f"AI HE key objects {wording.RESEARCH_MARK}",
    series_role=ResultRole.KEY_OBJECTS_SERIES,
    object_role=ResultRole.KEY_OBJECTS,
)


def encode_key_objects(
    analysis: HematomaFound,
    *,
    captures: Sequence[Dataset],
    source: SourceSeries,
    identity: ResultIdentity,
    context: ResultContext,
) -> Dataset:
    """Return the selection of an analysis: its captures and the slice of largest area."""
    return selection(
        captures,
        [(source, analysis.measurements.max_area_slice)],
        kind=KEY_OBJECTS,
        description=wording.KEY_OBJECTS,
        source=source,
        identity=identity,
        context=context,
    )


def selection(
    captures: Sequence[Dataset],
    slices: Sequence[tuple[SourceSeries, int]],
    *,
    kind: DocumentKind,
    description: str,
    source: SourceSeries,
    identity: ResultIdentity,
    context: ResultContext,
) -> Dataset:
    """Return a selection (TID 2010, document title Of Interest) of objects of one study.

    Parameters
    ----------
    captures : sequence of Dataset
        Whole captures.
    slices : sequence of (SourceSeries, int)
        Slices by their series and their place in its volume.
    description : str
        What is selected, without a full stop.
    source : SourceSeries
        Whose patient and study the selection belongs to.
    """
    chosen = [*captures, *(_of_source(series, index) for series, index in slices)]
    built = KeyObjectSelectionDocument(
        evidence=chosen,
        content=KeyObjectSelection(
            document_title=codes.OF_INTEREST,
            referenced_objects=chosen,
            observer_device_context=device_observer(context),
            description=f"{description}. {wording.RESEARCH_STATEMENT}",
        ),
        series_instance_uid=identity.uid(kind.series_role),
        series_number=kind.series_number,
        sop_instance_uid=identity.uid(kind.object_role),
        instance_number=1,
        manufacturer=context.manufacturer,
    )
    result = Dataset()
    result.update(built)
    result.preamble = built.preamble
    _say_nothing_of_purposes(result)
    for series, index in slices:
        _name_frame(result, series.images[index])
    stamp(
        result,
        source=source,
        context=context,
        series_number=kind.series_number,
        series_description=kind.series_description,
    )
    return result


def _of_source(source: SourceSeries, index: int) -> Dataset:
    """Return the slice of nobody with its true class, as the library wants to see it."""
    header = source.slice_header(index)
    header.SOPClassUID = source.images[index].sop_class_uid
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
