"""The small report that a series was not analysed, and why.

A Comprehensive 3D SR with root template TID 1500, as every report of the node: the images it is
about and one comment. It holds no measurement and no finding, so that nobody can take it for a
result.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from highdicom.sr import (
    ContainerContentItem,
    ImageContentItem,
    RelationshipTypeValues,
)
from pydicom.dataset import Dataset

from dicom_node.jobs.task import PredecessorObject
from dicom_node.results import codes, wording
from dicom_node.results.answers import comment
from dicom_node.results.check_iod import iod_faults
from dicom_node.results.context import ResultContext
from dicom_node.results.errors import ResultCheckError
from dicom_node.results.identity import ResultRole, result_identity
from dicom_node.results.patient_study import REQUIRED_OF_PATIENT_AND_STUDY
from dicom_node.results.report_document import DocumentKind, container, document, opening
from pipeline.rejection import RejectionReason

NOT_PROCESSED: Final = DocumentKind(
    series_number=909,
    series_description=f"AI HE not processed {wording.RESEARCH_MARK}",
    series_role=ResultRole.NOT_PROCESSED_SERIES,
    object_role=ResultRole.NOT_PROCESSED,
)

#: What must be the same in all images; else nobody knows whose study the report belongs to.
_ONE: Final = ("StudyInstanceUID", "SeriesInstanceUID", "PatientID", "PatientName")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Series:
    """A series that was not read as a volume; its first header stands for all."""

    header: Dataset


def encode_not_processed(
    source: Sequence[Dataset],
    reason: RejectionReason,
    *,
    context: ResultContext,
    supersedes: Sequence[PredecessorObject] = (),
) -> Dataset | None:
    """Return the report on a series that was rejected.

    Parameters
    ----------
    source : sequence of Dataset
        Headers of the images.
    reason : RejectionReason
        Why it was rejected; it holds no patient attribute.
    supersedes : sequence of PredecessorObject
        Results of an earlier analysis of the series.

    Returns
    -------
    Dataset or None
        None if there is no image, or if they are not of one series of one patient: a report must
        never lie in a study that it does not belong to.

    Raises
    ------
    ResultCheckError
        If the images lack what a report must copy.
    """
    images = sorted(
        (each for each in source if each.get("SOPInstanceUID") and each.get("SOPClassUID")),
        key=lambda each: str(each.SOPInstanceUID),
    )
    if not images or any(len({str(each.get(name)) for each in images}) > 1 for name in _ONE):
        return None
    header = images[0]
    if not header.get("StudyInstanceUID") or not header.get("SeriesInstanceUID"):
        return None
    identity = result_identity(
        str(header.SeriesInstanceUID),
        sop_instance_uids=[str(each.SOPInstanceUID) for each in images],
        models=context.models,
        configuration_digest=context.configuration_digest,
    )
    result = document(
        [
            *opening(context),
            container(codes.IMAGE_LIBRARY, [_library(images)]),
            container(
                codes.QUALITATIVE_EVALUATIONS,
                [comment(wording.not_processed(reason)), comment(wording.RESEARCH_STATEMENT)],
            ),
        ],
        [_evidence(each) for each in images],
        kind=NOT_PROCESSED,
        source=_Series(header=header),
        identity=identity,
        context=context,
        supersedes=supersedes,
    )
    if faults := iod_faults(result):
        raise ResultCheckError(faults)
    return result


def _library(images: Sequence[Dataset]) -> ContainerContentItem:
    return container(
        codes.IMAGE_LIBRARY_GROUP,
        [
            ImageContentItem(
                name=codes.SOURCE,
                referenced_sop_class_uid=str(each.SOPClassUID),
                referenced_sop_instance_uid=str(each.SOPInstanceUID),
                relationship_type=RelationshipTypeValues.CONTAINS,
            )
            for each in images
        ],
    )


def _evidence(image: Dataset) -> Dataset:
    """Return identity without patient: the library that builds documents logs what it is given."""
    header = Dataset()
    for keyword in REQUIRED_OF_PATIENT_AND_STUDY:
        setattr(header, keyword, "")
    header.PatientName = "Nobody^"
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPClassUID", "SOPInstanceUID"):
        setattr(header, keyword, str(image[keyword].value))
    header.Modality = "CT"
    return header
