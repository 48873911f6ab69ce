"""Whether the report says what was found, in the layout that viewers can bear.

Validators pass reports that lack a procedure, a reference or a number; the assertions here do
not. They walk the content tree as plain items and use nothing of the code that built it.
"""

from collections.abc import Iterator
from typing import Final

from pydicom.dataset import Dataset
from pydicom.sr.coding import Code

from dicom_node.results import codes, wording
from dicom_node.results.bundle import ResultObjects
from dicom_node.results.check_groups import Expected, group_faults
from dicom_node.results.content_tree import (
    answers,
    evidence_uids,
    is_named,
    named,
    referred_uids,
    tracking_uid,
)
from dicom_node.results.source_frames import SourceFrames
from pipeline.analysis import HematomaFound, IchAnalysis
from pipeline.finding import Compartment
from pipeline.growth.forecast import GrowthForecast
from pipeline.quality_flags import QualityFlag

#: Rounding of the report: two decimals of a volume, four of a probability.
_VOLUME_TOLERANCE: Final = 0.0051
_PROBABILITY_TOLERANCE: Final = 0.000051
_STATUS: Final = {
    "CompletionFlag": "COMPLETE",
    "VerificationFlag": "UNVERIFIED",
    "PreliminaryFlag": "PRELIMINARY",
}


def report_faults(
    results: ResultObjects, frames: SourceFrames, analysis: IchAnalysis
) -> list[str]:
    """Return everything that is wrong with the report's content."""
    report = results.report
    try:
        return [
            *_document_faults(report),
            *_evaluation_faults(report, analysis),
            *_group_faults(report, results, analysis),
            *_reference_faults(results, frames),
        ]
    except (AttributeError, IndexError, KeyError) as error:
        return [f"the content tree cannot be read: {error}"]


def _document_faults(report: Dataset) -> Iterator[str]:
    """Yield faults of title, status, language, observer and procedure."""
    for keyword, expected in _STATUS.items():
        if report.get(keyword) != expected:
            yield f"{keyword} is {report.get(keyword)}, not {expected}"
    if not is_named(report, codes.REPORT_TITLE):
        yield "the title is not Imaging Measurement Report"
    if report.ContentTemplateSequence[0].TemplateIdentifier != "1500":
        yield "the root template is not TID 1500"
    for question, answer in (
        (codes.LANGUAGE, codes.ENGLISH),
        (codes.OBSERVER_TYPE, codes.DEVICE),
        (codes.PROCEDURE_REPORTED, codes.CT_UNSPECIFIED),
    ):
        if answers(report, question) != [answer.value]:
            yield f"{question.meaning} is not {answer.meaning}"
    if not list(named(report, codes.DEVICE_OBSERVER_UID)):
        yield "the observer has no Device UID"


def _evaluation_faults(report: Dataset, analysis: IchAnalysis) -> Iterator[str]:
    """Yield faults of the finding, the quality flags and the comments."""
    (container,) = named(report, codes.QUALITATIVE_EVALUATIONS)
    found = isinstance(analysis, HematomaFound)
    expected = codes.PRESENT if found else codes.ABSENT
    if answers(container, codes.CEREBRAL_HEMORRHAGE) != [expected.value]:
        yield f"{codes.CEREBRAL_HEMORRHAGE.meaning} is not {expected.meaning}"
    for compartment in Compartment:
        known = compartment in analysis.compartments_ml
        if len(answers(container, codes.COMPARTMENT[compartment])) != int(known):
            yield f"the compartment {compartment} must be answered exactly if it is known"
    for flag in _asked_flags(analysis):
        given = answers(container, codes.QUALITY_FLAG[flag])
        if len(given) != 1 or (given[0] == codes.PRESENT.value) != (flag in analysis.flags):
            yield f"the quality flag {flag} is not answered as it was raised"
    texts = [str(item.TextValue) for item in named(container, codes.COMMENT)]
    if wording.RESEARCH_STATEMENT not in texts:
        yield "the research use statement is missing"
    forecast = isinstance(analysis, HematomaFound) and analysis.forecast is not None
    if any(text.startswith("Forecast") and "if it expands" in text for text in texts) != forecast:
        yield "a forecast must be told with its condition, and only where there is one"


def _asked_flags(analysis: IchAnalysis) -> Iterator[QualityFlag]:
    """Yield every flag; whether a forecast failed is asked only where one was tried."""
    made = isinstance(analysis, HematomaFound) and analysis.forecast is not None
    for flag in QualityFlag:
        if flag is not QualityFlag.NO_FORECAST or made or flag in analysis.flags:
            yield flag


def _group_faults(report: Dataset, results: ResultObjects, analysis: IchAnalysis) -> Iterator[str]:
    """Yield faults of the measurement groups."""
    containers = list(named(report, codes.IMAGING_MEASUREMENTS))
    groups = list(named(containers[0], codes.MEASUREMENT_GROUP)) if containers else []
    if not groups:
        yield "there is no measurement group: viewers would show a black image"
    yield from group_faults(groups, _expected_numbers(analysis))
    segments = [item for group in groups for item in named(group, codes.REFERENCED_SEGMENT)]
    if not _refer_to_segments(segments, (results.segmentation, results.forecast)):
        yield "the referenced segments are not those of segmentation and forecast"
    yield from _mixed_lesions(groups)


def _mixed_lesions(groups: list[Dataset]) -> Iterator[str]:
    """Yield whether something measured is tracked as the same thing as something forecast."""
    forecast = {tracking_uid(group) for group in groups if _holds(group, codes.FORECAST_VOLUME)}
    measured = {tracking_uid(group) for group in groups if _holds(group, codes.VOLUME_BY_VOXELS)}
    if forecast & measured:
        yield "measured and forecast volume are tracked as one"


def _expected_numbers(
    analysis: IchAnalysis,
) -> Iterator[Expected]:
    """Yield name, unit, values and tolerance of what must be measured, and of what must not."""
    for compartment in Compartment:
        ml = analysis.compartments_ml.get(compartment)
        expected = () if ml is None else (ml,)
        yield codes.COMPARTMENT_VOLUME[compartment], "cm3", expected, _VOLUME_TOLERANCE
    volumes: tuple[float, ...] = ()
    probabilities: tuple[float, ...] = ()
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    spread: tuple[float, ...] = ()
    unfamiliarity: tuple[float, ...] = ()
    forecast: GrowthForecast | None = None
    if isinstance(analysis, HematomaFound):
        forecast = analysis.forecast
        volumes = (analysis.measurements.volume_ml,)
        probabilities = (analysis.prediction.probability,)
        spread = _known(analysis.prediction.spread)
        unfamiliarity = _known(analysis.prediction.unfamiliarity)
        reach = analysis.volume_range
        low, high = ((), ()) if reach is None else ((reach.low_ml,), (reach.high_ml,))
    yield from _expected_forecast(forecast)
    yield codes.VOLUME_BY_VOXELS, "cm3", volumes, _VOLUME_TOLERANCE
    yield codes.VOLUME_LOW, "cm3", low, _VOLUME_TOLERANCE
    yield codes.VOLUME_HIGH, "cm3", high, _VOLUME_TOLERANCE
    yield codes.HE_PROBABILITY, "1", probabilities, _PROBABILITY_TOLERANCE
    yield codes.HE_PROBABILITY_SPREAD, "1", spread, _PROBABILITY_TOLERANCE
    yield codes.HE_UNFAMILIARITY, "1", unfamiliarity, _PROBABILITY_TOLERANCE


def _expected_forecast(
    forecast: GrowthForecast | None,
) -> Iterator[Expected]:
    """Yield the forecast volume and the ends of its range, as `_expected_numbers`."""
    reach = None if forecast is None else forecast.volume_range
    volume = None if forecast is None else forecast.follow_up_ml
    yield codes.FORECAST_VOLUME, "cm3", _known(volume), _VOLUME_TOLERANCE
    low, high = (None, None) if reach is None else (reach.low_ml, reach.high_ml)
    yield codes.FORECAST_LOW, "cm3", _known(low), _VOLUME_TOLERANCE
    yield codes.FORECAST_HIGH, "cm3", _known(high), _VOLUME_TOLERANCE


def _known(value: float | None) -> tuple[float, ...]:
    return () if value is None else (value,)


def _reference_faults(results: ResultObjects, frames: SourceFrames) -> Iterator[str]:
    """Yield references that do not resolve, and objects that are not referred to."""
    report = results.report
    evidence = evidence_uids(report, "CurrentRequestedProcedureEvidenceSequence")
    beside = [each for each in (results.pdf, results.key_objects) if each is not None]
    ours = {str(result.SOPInstanceUID) for result in results.in_send_order} - {
        str(each.SOPInstanceUID) for each in (report, *beside)
    }
    known = frames.sop_instance_uids | ours
    for uid in sorted(evidence - known):
        yield f"evidence {uid} is neither source nor result"
    if not evidence & frames.sop_instance_uids:
        yield "no source image is evidence"
    referred = referred_uids(report)
    for uid in sorted(referred - evidence):
        yield f"reference {uid} is not evidence"
    for uid in sorted(ours - referred):
        yield f"result {uid} is not referred to"


def _holds(group: Dataset, name: Code) -> bool:
    return any(named(group, name))


def _refer_to_segments(items: list[Dataset], segmentations: tuple[Dataset | None, ...]) -> bool:
    """Return whether segment 1 of each that there is is referred to once, in order."""
    references = [item.ReferencedSOPSequence[0] for item in items]
    expected = [(str(made.SOPInstanceUID), 1) for made in segmentations if made is not None]
    return expected == [
        (str(r.ReferencedSOPInstanceUID), int(r.get("ReferencedSegmentNumber", 0)))
        for r in references
    ]
