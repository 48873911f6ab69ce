"""The structured report: Comprehensive 3D SR with root template TID 1500.

With a hematoma it holds what was measured on it; without one, the finding that there is none
and what was looked at.
"""

from collections.abc import Sequence
from typing import Final

from highdicom.sr import ContentItem
from pydicom.dataset import Dataset

from dicom_node.jobs.task import PredecessorObject
from dicom_node.results import codes, wording
from dicom_node.results.context import ResultContext
from dicom_node.results.evaluations import evaluations, picture_comment
from dicom_node.results.forecast import forecast_groups
from dicom_node.results.identity import ResultIdentity, ResultRole
from dicom_node.results.image_library import image_library
from dicom_node.results.measurement_groups import (
    Group,
    analysis_group,
    measurement_groups,
)
from dicom_node.results.report_document import (
    DocumentKind,
    container,
    document,
    opening,
    source_evidence,
)
from dicom_node.results.source import SourceSeries
from pipeline.analysis import HematomaFound, IchAnalysis
from pipeline.volume import CtVolume

REPORT: Final = DocumentKind(
    series_number=900,
    series_description=f"AI HE report {wording.RESEARCH_MARK}",
    series_role=ResultRole.REPORT_SERIES,
    object_role=ResultRole.REPORT,
)


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
        *opening(context),
        image_library(source),
        container(codes.IMAGING_MEASUREMENTS, [item for group in groups for item in group]),
        container(codes.QUALITATIVE_EVALUATIONS, [*answers, *map(picture_comment, pictures)]),
    ]
    return document(
        items,
        [*source_evidence(source), *pictures, *segmentations],
        kind=REPORT,
        source=source,
        identity=identity,
        context=context,
        supersedes=supersedes,
    )


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
