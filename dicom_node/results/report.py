"""The structured report: Comprehensive 3D SR with root template TID 1500.

With a hematoma it holds what was measured on it; without one, the finding that there is none
and what was looked at.
"""

from collections.abc import Sequence
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
from pydicom.uid import ExplicitVRLittleEndian

from dicom_node.jobs.task import PredecessorObject
from dicom_node.results import codes, wording
from dicom_node.results.context import ResultContext
from dicom_node.results.evaluations import evaluations, picture_comment
from dicom_node.results.forecast import forecast_groups
from dicom_node.results.header import stamp
from dicom_node.results.identity import ResultIdentity, ResultRole
from dicom_node.results.image_library import image_library
from dicom_node.results.measurement_groups import (
    Group,
    analysis_group,
    measurement_groups,
)
from dicom_node.results.source import SourceSeries
from pipeline.analysis import HematomaFound, IchAnalysis
from pipeline.volume import CtVolume

SERIES_NUMBER: Final = 900
SERIES_DESCRIPTION: Final = f"AI HE report {wording.RESEARCH_MARK}"
_CONTAINS: Final = RelationshipTypeValues.CONTAINS


def encode_report(
    analysis: IchAnalysis,
    *,
    source: SourceSeries,
    volume: CtVolume,
    segmentations: Sequence[Dataset],
    pictures: Sequence[Dataset],
    identity: ResultIdentity,
    context: ResultContext,
    supersedes: Sequence[PredecessorObject] = (),
) -> Dataset:
    """Return the report, preliminary and unverified, that refers to every other object.

    Parameters
    ----------
    analysis : IchAnalysis
        What was found.
    volume : CtVolume
        The volume that was analysed.
    segmentations : sequence of Dataset
        The SEG of the hematoma and, if there is a forecast, that of the forecast; none without a
        hematoma.
    pictures : sequence of Dataset
        The captures of the same result, and its uncertainty map if there is one.
    supersedes : sequence of PredecessorObject
        Results of an earlier analysis of the series; reports among them are named as
        predecessor documents (PS3.3, section C.17.2).

    Returns
    -------
    Dataset
        Explicit VR Little Endian, ready to be written; a repeat gives the same bytes.
    """
    groups = _groups(
        analysis,
        source=source,
        volume=volume,
        segmentations=segmentations,
        identity=identity,
        context=context,
    )
    answers = evaluations(analysis, slice_count=source.grid.shape_zyx[0], context=context)
    items: list[ContentItem] = [
        *_opening(context),
        image_library(source),
        _container(codes.IMAGING_MEASUREMENTS, [item for group in groups for item in group]),
        _container(codes.QUALITATIVE_EVALUATIONS, [*answers, *map(picture_comment, pictures)]),
    ]
    root = ContainerContentItem(name=codes.REPORT_TITLE, template_id="1500")
    root.ContentSequence = ContentSequence(items)
    evidence = [*_source_evidence(source), *pictures, *segmentations]
    report = _document(root, evidence, source=source, identity=identity, context=context)
    earlier = [each for each in supersedes if each.sop_class_uid == report.SOPClassUID]
    if earlier:
        report.PredecessorDocumentsSequence = [_reference(each) for each in earlier]
    return report


def _groups(
    analysis: IchAnalysis,
    *,
    source: SourceSeries,
    volume: CtVolume,
    segmentations: Sequence[Dataset],
    identity: ResultIdentity,
    context: ResultContext,
) -> list[Group]:
    if not isinstance(analysis, HematomaFound):
        return [
            analysis_group(
                analysis, volume=volume, source=source, identity=identity, context=context
            )
        ]
    if len(segmentations) != 1 + (analysis.forecast is not None):
        raise ValueError("A report on a hematoma needs its segmentation, and its forecast's")
    groups = measurement_groups(
        analysis,
        source=source,
        segmentation=segmentations[0],
        identity=identity,
        context=context,
    )
    if analysis.forecast is not None:
        groups += forecast_groups(
            analysis.forecast,
            source=source,
            segmentation=segmentations[1],
            identity=identity,
            context=context,
        )
    return groups


def _document(
    root: ContainerContentItem,
    evidence: Sequence[Dataset],
    *,
    source: SourceSeries,
    identity: ResultIdentity,
    context: ResultContext,
) -> Dataset:
    document = Comprehensive3DSR(
        evidence=evidence,
        content=root,
        series_instance_uid=identity.uid(ResultRole.REPORT_SERIES),
        series_number=SERIES_NUMBER,
        sop_instance_uid=identity.uid(ResultRole.REPORT),
        instance_number=1,
        manufacturer=context.manufacturer,
        is_complete=True,
        is_final=False,
        is_verified=False,
        transfer_syntax_uid=ExplicitVRLittleEndian,
    )
    result = Dataset()
    result.update(document)
    result.preamble = document.preamble
    stamp(
        result,
        source=source,
        context=context,
        series_number=SERIES_NUMBER,
        series_description=SERIES_DESCRIPTION,
    )
    return result


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


def _opening(context: ResultContext) -> list[ContentItem]:
    """Return language, observer and procedure; the observer is the device, never a person."""
    language = LanguageOfContentItemAndDescendants(CodedConcept.from_code(codes.ENGLISH))
    observer = ObserverContext(
        observer_type=CodedConcept.from_code(codes.DEVICE),
        observer_identifying_attributes=DeviceObserverIdentifyingAttributes(
            uid=context.observer_uid,
            name=context.model_name,
            manufacturer_name=context.manufacturer,
            model_name=context.model_name,
            serial_number=context.device_serial_number,
        ),
    )
    procedure = CodeContentItem(
        name=codes.PROCEDURE_REPORTED,
        value=codes.CT_UNSPECIFIED,
        relationship_type=RelationshipTypeValues.HAS_CONCEPT_MOD,
    )
    return [
        *language,
        *ObservationContext(observer_device_context=observer),
        procedure,
    ]


def _source_evidence(source: SourceSeries) -> list[Dataset]:
    """Return one complete header per source instance."""
    evidence = []
    for instance in source.instances():
        header = source.slice_header(0)
        header.SOPClassUID = instance.sop_class_uid
        header.SOPInstanceUID = instance.sop_instance_uid
        evidence.append(header)
    return evidence


def _container(name: Code, items: Sequence[ContentItem]) -> ContainerContentItem:
    container = ContainerContentItem(name=name, relationship_type=_CONTAINS)
    container.ContentSequence = ContentSequence(items)
    return container
