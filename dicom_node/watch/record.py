"""The report of the watch as JSON values; it names jobs and models, never a patient."""

from collections.abc import Mapping, Sequence
from typing import Any

from dicom_node.watch.alarms import SENTENCES
from dicom_node.watch.drift import Drift
from dicom_node.watch.forecasts import ForecastScores
from dicom_node.watch.outcomes import Outcome
from dicom_node.watch.performance import Performance, PointScores
from dicom_node.watch.report import VersionReport, WatchReport
from dicom_node.watch.shadow import ShadowComparison
from pipeline.statistics.confusion import DiagnosticMeasure
from pipeline.statistics.estimate import Estimate

_DECIMALS = 6


def watch_record(report: WatchReport) -> dict[str, Any]:
    """Return everything that a report says."""
    rules = report.rules
    return {
        "horizon_h": [rules.earliest_h, rules.latest_h],
        "alarms": [{"name": one.value, "sentence": SENTENCES[one]} for one in report.alarms],
        "versions": [_version(one) for one in report.versions],
        "drift": [_drift(one) for one in report.drifts],
        "shadows": [_shadow(one) for one in report.shadows],
    }


def _version(one: VersionReport) -> dict[str, Any]:
    return {
        "segmentation": one.version.segmentation,
        "classification": one.version.classification,
        "segmentation_sha256": one.version.segmentation_sha256,
        "classification_sha256": one.version.classification_sha256,
        "demonstration": one.version.demonstration,
        "analyses": one.analyses,
        "patients": one.patients,
        "mean_probability_with_outcome": _number(one.followed_mean),
        "mean_probability_without_outcome": _number(one.other_mean),
        "excluded": {reason.value: count for reason, count in one.excluded.items()},
        **_performance(one.performance),
        "forecasts": None if one.forecasts is None else _forecasts(one.forecasts),
        "outcomes": [_outcome(each) for each in one.outcomes],
    }


def _performance(one: Performance) -> dict[str, Any]:
    line = one.calibration
    return {
        "pairs": one.pairs,
        "expansions": one.expansions,
        "predicted_ahead": one.predicted_ahead,
        "uncertain": one.uncertain,
        "auc": _estimate(one.auc),
        "operating_points": [_point(each) for each in one.points],
        "mean_probability": _number(one.mean_probability),
        "expanded_share": _estimate(one.expanded_share),
        "brier": _estimate(one.brier),
        "calibration": None
        if line is None
        else {"slope": _estimate(line.slope), "intercept": _estimate(line.intercept)},
        "reliability": [
            {
                "patients": each.cases,
                "mean_probability": _number(each.mean_probability),
                "share": _estimate(each.share),
            }
            for each in one.reliability
        ],
        "needs": [
            {"wish": each.wish, "patients": each.patients, "more": each.more} for each in one.needs
        ],
        "remarks": list(one.remarks),
    }


def _forecasts(one: ForecastScores) -> dict[str, Any]:
    return {
        "patients": one.patients,
        "error_ml": _number(one.error_ml),
        "absolute_error_ml": _number(one.absolute_error_ml),
        "within_range": one.within_range,
        "with_range": one.with_range,
        "coverage": _estimate(one.coverage),
    }


def _point(one: PointScores) -> dict[str, Any]:
    return {
        "name": one.name,
        "true_positives": one.confusion.true_positives,
        "false_positives": one.confusion.false_positives,
        "true_negatives": one.confusion.true_negatives,
        "false_negatives": one.confusion.false_negatives,
        **_shares(one.shares),
    }


def _shares(shares: Mapping[DiagnosticMeasure, Estimate | None]) -> dict[str, Any]:
    return {measure.value: _estimate(share) for measure, share in shares.items()}


def _outcome(one: Outcome) -> dict[str, Any]:
    return {
        "baseline_job_id": one.baseline_job_id,
        "comparison_job_id": one.comparison_job_id,
        "probability": one.probability,
        "expanded": one.expanded,
        "is_certain": one.is_certain,
        "definition": one.definition,
        "elapsed_h": round(one.elapsed_h, 2),
        "predicted_ahead": one.predicted_ahead,
    }


def _drift(one: Drift) -> dict[str, Any]:
    return {
        "what": one.what.value,
        "reference": None if one.source is None else one.source.name.lower(),
        "expected_cases": one.expected_cases,
        "cases": one.cases,
        "expected": one.expected,
        "found": one.found,
        "psi": None if one.shift is None else _number(one.shift.psi),
        "p_value": None if one.shift is None else one.shift.p_value,
        "has_drifted": one.has_drifted,
    }


def _shadow(one: ShadowComparison) -> dict[str, Any]:
    return {
        "current": str(one.current),
        "shadow": str(one.shadow),
        "scans": one.scans,
        "found_by_one": one.found_by_one,
        "called_otherwise": one.called_otherwise,
        "volume_difference_ml": _number(one.volume_difference_ml),
        "probability_difference": _number(one.probability_difference),
        "pairs": one.pairs,
        "expansions": one.expansions,
        "current_auc": _number(one.current_auc),
        "shadow_auc": _number(one.shadow_auc),
        "auc_difference": _estimate(one.auc_difference),
        "p_value": one.p_value,
    }


def _estimate(one: Estimate | None) -> dict[str, float] | None:
    if one is None:
        return None
    values: Sequence[tuple[str, float]] = (
        ("value", one.value),
        ("low", one.low),
        ("high", one.high),
    )
    return {name: round(value, _DECIMALS) for name, value in values}


def _number(value: float | None) -> float | None:
    return None if value is None else round(value, _DECIMALS)
