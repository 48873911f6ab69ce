"""The qualitative evaluations of the report: findings, flags, and what is said in words."""

from typing import Final

from highdicom.sr import (
    ContentItem,
    RelationshipTypeValues,
    TextContentItem,
)
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code
from pydicom.uid import ParametricMapStorage

from dicom_node.results import codes, wording
from dicom_node.results.answers import answer, comment, comment_on
from dicom_node.results.context import ResultContext
from pipeline.analysis import HematomaFound, IchAnalysis
from pipeline.finding import Compartment
from pipeline.finding_flags import FINDING_FLAGS, answerable, is_present
from pipeline.quality_flags import QualityFlag

_CONTAINS: Final = RelationshipTypeValues.CONTAINS


def evaluations(
    analysis: IchAnalysis, *, slice_count: int, context: ResultContext
) -> list[ContentItem]:
    """Return the findings, one answer per flag, and what must be said in words.

    Compartments that the network does not know are neither present nor absent: they are left
    out, and flags about them are undetermined. Whether a forecast failed is asked only where
    one was tried.
    """
    found = isinstance(analysis, HematomaFound)
    return [
        answer(codes.CEREBRAL_HEMORRHAGE, codes.PRESENT if found else codes.ABSENT),
        *(
            answer(
                codes.COMPARTMENT[name], codes.PRESENT if is_present(name, ml) else codes.ABSENT
            )
            for name, ml in _in_order(analysis)
        ),
        *(
            answer(codes.QUALITY_FLAG[flag], flag_answer(flag, analysis))
            for flag in QualityFlag
            if flag is not QualityFlag.NO_FORECAST or _was_forecast(analysis)
        ),
        *map(comment, _comments(analysis, slice_count, context)),
    ]


def flag_answer(flag: QualityFlag, analysis: IchAnalysis) -> Code:
    """Return Present, Absent, or Undetermined where the analysis could not tell."""
    if flag in analysis.flags:
        return codes.PRESENT
    found = isinstance(analysis, HematomaFound)
    if flag in wording.HEMATOMA_FLAGS and not found:
        return codes.UNDETERMINED
    if flag is QualityFlag.UNFAMILIAR and not _knows_familiarity(analysis):
        return codes.UNDETERMINED
    could_tell = answerable(
        has_hematoma=found,
        compartments_ml=analysis.compartments_ml,
        volume_range=analysis.volume_range if isinstance(analysis, HematomaFound) else None,
    )
    return codes.UNDETERMINED if flag in FINDING_FLAGS - could_tell else codes.ABSENT


def _knows_familiarity(analysis: IchAnalysis) -> bool:
    return isinstance(analysis, HematomaFound) and analysis.prediction.unfamiliarity is not None


def _was_forecast(analysis: IchAnalysis) -> bool:
    return QualityFlag.NO_FORECAST in analysis.flags or (
        isinstance(analysis, HematomaFound) and analysis.forecast is not None
    )


def _in_order(analysis: IchAnalysis) -> list[tuple[Compartment, float]]:
    volumes = analysis.compartments_ml
    return [(name, volumes[name]) for name in Compartment if name in volumes]


def _comments(analysis: IchAnalysis, slice_count: int, context: ResultContext) -> list[str]:
    comments = [wording.RESEARCH_STATEMENT, wording.RESEARCH_USE_ONLY_ZH]
    if context.is_demonstration:
        comments.append(wording.DEMONSTRATION_STATEMENT)
    if isinstance(analysis, HematomaFound):
        found, reach = analysis.measurements, analysis.volume_range
        volume = wording.volume_words(
            found.volume_ml, None if reach is None else (reach.low_ml, reach.high_ml)
        )
        comments.append(
            f"Hematoma volume {volume}. "
            f"Probability of expansion {wording.probability_words(analysis.prediction)}."
        )
        comments += wording.doubt_sentences(analysis.prediction)
        comments += _forecast_sentences(analysis, context)
    else:
        comments.append(wording.no_hematoma_sentence(slice_count, analysis.compartments_ml))
    if analysis.compartments_ml:
        comments.append(f"Other findings: {wording.compartment_words(analysis.compartments_ml)}.")
    comments += wording.model_sentences(*context.models)
    comments += wording.flag_sentences(analysis.flags)
    return comments


def _forecast_sentences(analysis: HematomaFound, context: ResultContext) -> list[str]:
    forecast, model = analysis.forecast, context.growth_card
    if forecast is None or model is None:
        return []
    reach = forecast.volume_range
    return [
        wording.forecast_sentence(
            forecast.follow_up_ml,
            None if reach is None else (reach.low_ml, reach.high_ml),
            is_demonstration=model.demonstration,
        )
    ]


def picture_comment(picture: Dataset) -> TextContentItem:
    """Return a comment that refers to one capture, or to the map of the segmentation's doubt."""
    if picture.SOPClassUID == ParametricMapStorage:
        return comment_on(picture, wording.UNCERTAINTY_MAP, codes.ENTROPY)
    return comment_on(picture, str(picture.ImageComments), codes.VISUAL_EXPLANATION)
