"""Predictions with what became of them: one pair per patient, and why others are none."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from dicom_node.jobs.pairs import AnalysisEntry, ComparisonEntry
from dicom_node.watch.model_version import ModelVersion, version_of
from dicom_node.watch.rules import WatchRules
from pipeline.prediction import HeLabel

#: `status` of a comparison that ends with a verdict (`dicom_node.results.comparison_record`).
_COMPARED = "compared"

#: `status` of an analysis that found a hematoma (`dicom_node.results.record`).
_FOUND = "hematoma_found"


class Exclusion(StrEnum):
    """Why a comparison is no pair, or a patient has none. The values are shown and counted."""

    NO_OPINION = "no_opinion"  #: the baseline has no probability of expansion
    REFUSED = "refused"  #: not of one patient, or in no order of time
    NO_VERDICT = "no_verdict"  #: measured, but e.g. surgery in between is suspected
    NO_INTERVAL = "no_interval"  #: the time between the scans is not known
    TOO_EARLY = "too_early"  #: expansion may still come
    TOO_LATE = "too_late"  #: beyond the horizon
    LATER_SCAN = "later_scan"  #: the patient's first follow-up in time counts already


#: What the exclusions say to people.
EXCLUSION_WORDS: Mapping[Exclusion, str] = {
    Exclusion.NO_OPINION: "the baseline has no probability of expansion",
    Exclusion.REFUSED: "the two scans could not be compared",
    Exclusion.NO_VERDICT: "measured without a verdict, e.g. surgery in between is suspected",
    Exclusion.NO_INTERVAL: "the time between the scans is not known",
    Exclusion.TOO_EARLY: "follow-up too early to rule an expansion out",
    Exclusion.TOO_LATE: "follow-up beyond the horizon",
    Exclusion.LATER_SCAN: "a further scan of a patient who is counted already",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """The volume that was expected at follow-up if the hematoma expands.

    Attributes
    ----------
    volume_ml : float
        The forecast.
    model : str
        Digest of the growth model's weights; empty if the record has none.
    low_ml, high_ml : float or None
        Its range; None if the growth model states no error.
    """

    volume_ml: float
    model: str = ""
    low_ml: float | None = None
    high_ml: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A prediction and what became of it; one patient.

    Attributes
    ----------
    baseline_job_id, comparison_job_id : int
        Where both stand in the ledger.
    patient : str
        Keyed hash of the patient, or the series where the ledger has none. Never shown.
    probability : float
        Predicted probability of expansion.
    calls : mapping of str to bool
        Whether expansion was called, by operating point; that of the card is ``card``.
    expanded : bool
        Whether the measured volume expanded.
    is_certain : bool
        Whether the error of both volumes leaves no doubt of it.
    definition : str
        Which definition of expansion it was judged by.
    elapsed_h : float
        Hours between the scans.
    predicted_ahead : bool
        Whether the prediction stood before the node knew of the later scan.
    finished_at : datetime
        When the prediction was made.
    forecast : Forecast or None
        Of the volume at follow-up; None if there was none.
    follow_up_ml : float or None
        The volume that was measured there.
    """

    baseline_job_id: int
    comparison_job_id: int
    patient: str = field(repr=False)
    probability: float
    calls: Mapping[str, bool]
    expanded: bool
    is_certain: bool
    definition: str
    elapsed_h: float
    predicted_ahead: bool
    finished_at: datetime
    forecast: Forecast | None = None
    follow_up_ml: float | None = None


#: Name of the operating point that the card's own threshold makes.
CARD_POINT = "card"


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """The pairs of one model version, the earliest prediction first.

    Attributes
    ----------
    outcomes : tuple of Outcome
        One per patient.
    excluded : mapping of Exclusion to int
        Comparisons that are no pair, by reason; reasons without any are absent.
    """

    outcomes: tuple[Outcome, ...]
    excluded: Mapping[Exclusion, int]


def follow(
    comparisons: Iterable[ComparisonEntry], rules: WatchRules
) -> Mapping[ModelVersion, Followed]:
    """Return the pairs of each model version.

    The outcome of a patient is the first comparison with the earliest baseline whose follow-up
    lies in the time of the rules, so that patients are independent and each counts with the
    first hemorrhage that the node saw.
    """
    by_version: dict[ModelVersion, list[ComparisonEntry]] = {}
    for entry in comparisons:
        by_version.setdefault(version_of(entry.baseline.record), []).append(entry)
    return {version: _followed(entries, rules) for version, entries in by_version.items()}


def opinion_of(analysis: AnalysisEntry) -> float | None:
    """Return the probability of expansion that an analysis gave, None if it gave none."""
    if analysis.record.get("status") != _FOUND:
        return None
    probability = analysis.record.get("he_probability")
    return None if probability is None else float(probability)


def patient_of(analysis: AnalysisEntry) -> str:
    """Return what tells patients apart: without a key in the ledger every series is one."""
    return analysis.patient_key or analysis.series_uid


def _followed(entries: Sequence[ComparisonEntry], rules: WatchRules) -> Followed:
    excluded: Counter[Exclusion] = Counter()
    outcomes: dict[str, Outcome] = {}
    for entry in sorted(entries, key=_order):
        reason = _reason(entry, rules)
        patient = patient_of(entry.baseline)
        if reason is None and patient in outcomes:
            reason = Exclusion.LATER_SCAN
        if reason is not None:
            excluded[reason] += 1
            continue
        outcomes[patient] = _outcome(entry)
    found = sorted(outcomes.values(), key=lambda one: one.finished_at)
    return Followed(
        outcomes=tuple(found),
        excluded={reason: excluded[reason] for reason in Exclusion if excluded[reason]},
    )


def _order(entry: ComparisonEntry) -> tuple[str, float, int]:
    """Sort by time of the baseline, then of the follow-up."""
    when = entry.baseline.acquired_at or entry.baseline.created_at.isoformat()
    elapsed = entry.record.get("elapsed_hours")
    return when, float("inf") if elapsed is None else float(elapsed), entry.job_id


def _reason(entry: ComparisonEntry, rules: WatchRules) -> Exclusion | None:
    """Return why a comparison cannot judge a prediction, None if it can."""
    record = entry.record
    if opinion_of(entry.baseline) is None:
        return Exclusion.NO_OPINION
    if record.get("status") == "refused":
        return Exclusion.REFUSED
    if record.get("status") != _COMPARED or record.get("expanded") is None:
        return Exclusion.NO_VERDICT
    elapsed = record.get("elapsed_hours")
    if elapsed is None:
        return Exclusion.NO_INTERVAL
    if elapsed < rules.earliest_h:
        return Exclusion.TOO_EARLY
    return Exclusion.TOO_LATE if elapsed > rules.latest_h else None


def _outcome(entry: ComparisonEntry) -> Outcome:
    record, baseline = entry.record, entry.baseline.record
    points = {
        str(point["name"]): point["he_label"] == HeLabel.HE.name
        for point in baseline.get("operating_points", ())
    }
    return Outcome(
        baseline_job_id=entry.baseline.job_id,
        comparison_job_id=entry.job_id,
        patient=patient_of(entry.baseline),
        probability=float(baseline["he_probability"]),
        calls={CARD_POINT: baseline.get("he_label") == HeLabel.HE.name, **points},
        expanded=bool(record["expanded"]),
        is_certain=record.get("is_certain") is True,
        definition=str(record.get("definition", "")),
        elapsed_h=float(record["elapsed_hours"]),
        predicted_ahead=entry.baseline.finished_at <= entry.follow_up_received_at,
        finished_at=entry.baseline.finished_at,
        forecast=_forecast(baseline.get("forecast")),
        follow_up_ml=record.get("follow_up_volume_ml"),
    )


def _forecast(stored: Mapping[str, Any] | None) -> Forecast | None:
    """Return the forecast in a record; earlier versions had none."""
    if stored is None:
        return None
    low, high = stored.get("volume_range_ml") or (None, None)
    return Forecast(
        volume_ml=float(stored["volume_ml"]),
        model=str(stored.get("model", {}).get("weights_sha256", "")),
        low_ml=low,
        high_ml=high,
    )
