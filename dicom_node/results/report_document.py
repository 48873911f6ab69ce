"""What every structured report of the node is made of, whatever it reports."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from highdicom.sr import (
    CodeContentItem,
    CodedConcept,
    Comprehensive3DSR,
    ContainerContentItem,
    ContentItem,
    ContentSequence,
    DeviceObserverIdentifyingAttributes,
    LanguageOfContentItemAndDescendants,
    ObservationContext,
    ObserverContext,
    RelationshipTypeValues,
)
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code
from pydicom.uid import Comprehensive3DSRStorage, ExplicitVRLittleEndian

from dicom_node.jobs.task import PredecessorObject
from dicom_node.results import codes
from dicom_node.results.context import ResultContext
from dicom_node.results.header import OfSource, stamp
from dicom_node.results.identity import ResultIdentity, ResultRole
from dicom_node.results.source import SourceSeries

_CONTAINS: Final = RelationshipTypeValues.CONTAINS


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentKind:
    """Which report it is.

    Attributes
    ----------
    series_number : int
        Number of its series.
    series_description : str
        Marked as research, 1 to 64 characters.
    series_role, object_role : ResultRole
        What its UIDs stand for.
    """

    series_number: int
    series_description: str
    series_role: ResultRole
    object_role: ResultRole


def document(
    items: Sequence[ContentItem],
    evidence: Sequence[Dataset],
    *,
    kind: DocumentKind,
    source: OfSource,
    identity: ResultIdentity,
    context: ResultContext,
    supersedes: Sequence[PredecessorObject] = (),
) -> Dataset:
    """Return a Comprehensive 3D SR with root template TID 1500, preliminary and unverified.

    Parameters
    ----------
    items : sequence of ContentItem
        Content of the root container.
    evidence : sequence of Dataset
        Headers of everything that is referred to, the source first. What is not of its study
        is listed as pertinent other evidence (PS3.3, section C.17.2).
    source : OfSource
        Whose patient and study the report belongs to.
    supersedes : sequence of PredecessorObject
        Results of an earlier run; reports among them are named as predecessor documents.
    """
    root = ContainerContentItem(name=codes.REPORT_TITLE, template_id="1500")
    root.ContentSequence = ContentSequence(items)
    built = Comprehensive3DSR(
        evidence=evidence,
        content=root,
        series_instance_uid=identity.uid(kind.series_role),
        series_number=kind.series_number,
        sop_instance_uid=identity.uid(kind.object_role),
        instance_number=1,
        manufacturer=context.manufacturer,
        is_complete=True,
        is_final=False,
        is_verified=False,
        transfer_syntax_uid=ExplicitVRLittleEndian,
    )
    result = Dataset()
    result.update(built)
    result.preamble = built.preamble
    stamp(
        result,
        source=source,
        context=context,
        series_number=kind.series_number,
        series_description=kind.series_description,
    )
    earlier = [each for each in supersedes if each.sop_class_uid == Comprehensive3DSRStorage]
    if earlier:
        result.PredecessorDocumentsSequence = [_reference(each) for each in earlier]
    return result


def device_observer(context: ResultContext) -> ObserverContext:
    """Return who observes: the device (PS3.16, TID 1004)."""
    return ObserverContext(
        observer_type=CodedConcept.from_code(codes.DEVICE),
        observer_identifying_attributes=DeviceObserverIdentifyingAttributes(
            uid=context.observer_uid,
            name=context.model_name,
            manufacturer_name=context.manufacturer,
            model_name=context.model_name,
            serial_number=context.device_serial_number,
        ),
    )


def opening(context: ResultContext) -> list[ContentItem]:
    """Return language, observer and procedure; the observer is the device, never a person."""
    language = LanguageOfContentItemAndDescendants(CodedConcept.from_code(codes.ENGLISH))
    procedure = CodeContentItem(
        name=codes.PROCEDURE_REPORTED,
        value=codes.CT_UNSPECIFIED,
        relationship_type=RelationshipTypeValues.HAS_CONCEPT_MOD,
    )
    return [
        *language,
        *ObservationContext(observer_device_context=device_observer(context)),
        procedure,
    ]


def source_evidence(source: SourceSeries) -> list[Dataset]:
    """Return one complete header per source instance."""
    evidence = []
    for instance in source.instances():
        header = source.slice_header(0)
        header.SOPClassUID = instance.sop_class_uid
        header.SOPInstanceUID = instance.sop_instance_uid
        evidence.append(header)
    return evidence


def container(name: Code, items: Sequence[ContentItem]) -> ContainerContentItem:
    """Return a container of content items."""
    made = ContainerContentItem(name=name, relationship_type=_CONTAINS)
    made.ContentSequence = ContentSequence(items)
    return made


def _reference(earlier: PredecessorObject) -> Dataset:
    """Return the item of Predecessor Documents Sequence that names one document."""
    instance, series, study = Dataset(), Dataset(), Dataset()
    instance.ReferencedSOPClassUID = earlier.sop_class_uid
    instance.ReferencedSOPInstanceUID = earlier.sop_instance_uid
    series.SeriesInstanceUID = earlier.series_instance_uid
    series.ReferencedSOPSequence = [instance]
    study.StudyInstanceUID = earlier.study_instance_uid
    study.ReferencedSeriesSequence = [series]
    return study
