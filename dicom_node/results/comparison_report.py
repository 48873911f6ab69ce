"""The structured report of a comparison: Comprehensive 3D SR with root template TID 1500.

It belongs to the follow-up's study; the baseline's images and segmentation are of another one and
are listed as pertinent other evidence (PS3.3, section C.17.2).
"""

from collections.abc import Sequence
from typing import Final

from highdicom.sr import (
    ContainerContentItem,
    ContentItem,
    ContentSequence,
    RelationshipTypeValues,
)
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code

from dicom_node.jobs.task import PredecessorObject
from dicom_node.results import codes, comparison_wording, wording
from dicom_node.results.answers import answer, comment, comment_on
from dicom_node.results.compared_pair import ComparedPair
from dicom_node.results.comparison_groups import comparison_groups
from dicom_node.results.context import ResultContext
from dicom_node.results.identity import ResultRole
from dicom_node.results.image_library import image_library
from dicom_node.results.report_document import (
    DocumentKind,
    container,
    document,
    opening,
    source_evidence,
)
from pipeline.expansion import Criterion
from pipeline.follow_up.comparison import FollowUpComparison
from pipeline.follow_up.flags import FollowUpFlag

_CONTAINS: Final = RelationshipTypeValues.CONTAINS

REPORT: Final = DocumentKind(
    series_number=910,
    series_description=f"AI HE follow-up report {wording.RESEARCH_MARK}",
    series_role=ResultRole.COMPARISON_REPORT_SERIES,
    object_role=ResultRole.COMPARISON_REPORT,
)


def encode_comparison_report(
    pair: ComparedPair,
    *,
    baseline_segmentation: Dataset | None,
    follow_up_segmentation: Dataset | None,
    capture: Dataset,
    context: ResultContext,
    supersedes: Sequence[PredecessorObject] = (),
) -> Dataset:
    """Return the report, preliminary and unverified, that refers to every other object.

    Parameters
    ----------
    baseline_segmentation, follow_up_segmentation : Dataset or None
        SEG of each scan; None where it shows no hematoma.
    capture : Dataset
        Both scans side by side.
    supersedes : sequence of PredecessorObject
        Results of an earlier comparison of the follow-up; reports among them are named as
        predecessor documents.
    """
    items: list[ContentItem] = [
        *opening(context),
        _libraries(pair),
        container(
            codes.IMAGING_MEASUREMENTS,
            comparison_groups(
                pair,
                baseline_segmentation=baseline_segmentation,
                follow_up_segmentation=follow_up_segmentation,
                context=context,
            ),
        ),
        container(
            codes.QUALITATIVE_EVALUATIONS,
            [
                *_answers(pair.comparison),
                *map(comment, _comments(pair, context)),
                comment_on(capture, str(capture.ImageComments), codes.SIDE_BY_SIDE),
            ],
        ),
    ]
    made = [each for each in (follow_up_segmentation, baseline_segmentation) if each is not None]
    return document(
        items,
        [
            *source_evidence(pair.follow_up.source),
            *source_evidence(pair.baseline.source),
            *made,
            capture,
        ],
        kind=REPORT,
        source=pair.follow_up.source,
        identity=pair.identity,
        context=context,
        supersedes=supersedes,
    )


def criterion_answer(criterion: Criterion, comparison: FollowUpComparison) -> Code:
    """Return Present, Absent, or Undetermined where a criterion was not or cannot be judged."""
    if comparison.is_expansion is None:
        return codes.UNDETERMINED
    if criterion in comparison.change.criteria:
        return codes.PRESENT
    if criterion in (Criterion.NEW_INTRAVENTRICULAR, Criterion.INTRAVENTRICULAR_GROWTH):
        volumes = (comparison.baseline, comparison.follow_up)
        known = all(each.intraventricular_ml is not None for each in volumes)
        if not comparison.with_ventricles or not known:
            return codes.UNDETERMINED
    return codes.ABSENT


def _libraries(pair: ComparedPair) -> ContainerContentItem:
    """Return TID 1600 with one group for each scan, the follow-up's first."""
    library = image_library(pair.follow_up.source)
    groups = [*library.ContentSequence, *image_library(pair.baseline.source).ContentSequence]
    library.ContentSequence = ContentSequence(groups)
    return library


def _answers(comparison: FollowUpComparison) -> list[ContentItem]:
    """Return the verdict, one answer per criterion, and one per flag."""
    found = comparison.follow_up.hematoma_ml > 0
    certain = None if comparison.is_expansion is None else comparison.change.is_certain
    return [
        answer(codes.CEREBRAL_HEMORRHAGE, _yes_or_no(is_so=found)),
        answer(codes.HEMATOMA_EXPANSION, _yes_or_no(is_so=comparison.is_expansion)),
        *(
            answer(codes.CRITERION[criterion], criterion_answer(criterion, comparison))
            for criterion in Criterion
        ),
        answer(codes.EXPANSION_CERTAIN, _yes_or_no(is_so=certain)),
        *(
            answer(codes.FOLLOW_UP_FLAG[flag], _yes_or_no(is_so=flag in comparison.flags))
            for flag in FollowUpFlag
        ),
    ]


def _yes_or_no(*, is_so: bool | None) -> Code:
    if is_so is None:
        return codes.UNDETERMINED
    return codes.PRESENT if is_so else codes.ABSENT


def _comments(pair: ComparedPair, context: ResultContext) -> list[str]:
    comparison, model = pair.comparison, context.segmentation_card
    hours = comparison.interval.elapsed.total_seconds() / 3600
    said = [wording.RESEARCH_STATEMENT, wording.RESEARCH_USE_ONLY_ZH]
    if model.demonstration:
        said.append(wording.DEMONSTRATION_STATEMENT)
    verdict = comparison_wording.verdict_words(comparison)
    change = comparison_wording.change_words(comparison.change)
    elapsed = comparison_wording.elapsed_words(hours)
    is_judged = comparison.is_expansion is not None
    is_uncertain = is_judged and comparison.change.is_certain is False
    return [
        *said,
        f"{verdict}. {comparison_wording.DEFINITION[comparison.with_ventricles]}",
        f"Change of the hematoma volume in {elapsed}: {change}.",
        *([comparison_wording.UNCERTAIN] if is_uncertain else []),
        comparison_wording.SAME_MODEL,
        f"Segmentation model: {model.name} {model.version} (weights {model.weights_sha256[:12]}).",
        *comparison_wording.flag_sentences(comparison.flags),
        *comparison_wording.quality_sentences(comparison),
    ]
