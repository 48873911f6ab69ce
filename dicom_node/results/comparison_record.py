"""The record of one comparison: `comparison.json` and the ledger hold it; no patient attribute."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, Final

from dicom_node.results import comparison_wording, wording
from dicom_node.results.identity import ModelIdentity
from pipeline.expansion import Criterion
from pipeline.follow_up.comparison import FollowUpComparison
from pipeline.follow_up.flags import FollowUpFlag
from pipeline.quality_flags import QualityFlag

#: Decimals of stored numbers, as in the record of an analysis.
_DECIMALS: Final = 6


class ComparisonStatus(StrEnum):
    """How a comparison ended. The values are stored; never rename one."""

    COMPARED = "compared"
    NO_VERDICT = "no_verdict"  #: measured and reported, the question of expansion left open
    REFUSED = "refused"  #: not of one patient, not in order of time, or a scan cannot be read


class Definition(StrEnum):
    """Which definition of expansion was asked for. The values are stored; never rename one."""

    STANDARD = "standard"
    REVISED = "revised"  #: with blood in the ventricles


def comparison_record(
    comparison: FollowUpComparison,
    *,
    baseline_uid: str,
    follow_up_uid: str,
    model: ModelIdentity,
    steps_s: Mapping[str, float],
) -> dict[str, Any]:
    """Return the record of two scans that were compared.

    Parameters
    ----------
    comparison : FollowUpComparison
        What changed.
    baseline_uid, follow_up_uid : str
        Series Instance UIDs.
    model : ModelIdentity
        Who segmented both.
    steps_s : mapping of str to float
        Seconds that each step took.

    Returns
    -------
    dict
        JSON values only. ``expanded`` is None unless the status is ``compared``; ``criteria``
        are those that the numbers meet, also where the verdict is withheld.
    """
    record = _record(baseline_uid, follow_up_uid, model, steps_s)
    change, reach = comparison.change, comparison.change.change_range
    withheld = comparison.withheld_by
    status = ComparisonStatus.NO_VERDICT if withheld else ComparisonStatus.COMPARED
    record |= {
        "status": status.value,
        "reasons": list(comparison_wording.withheld_sentences(comparison.flags)),
        "flags": [flag.value for flag in FollowUpFlag if flag in comparison.flags],
        "baseline_quality": _values(comparison.baseline_quality),
        "follow_up_quality": _values(comparison.follow_up_quality),
        "elapsed_hours": round(comparison.interval.elapsed.total_seconds() / 3600, _DECIMALS),
        "baseline_volume_ml": _number(comparison.baseline.hematoma_ml),
        "follow_up_volume_ml": _number(comparison.follow_up.hematoma_ml),
        "baseline_intraventricular_ml": _number(comparison.baseline.intraventricular_ml),
        "follow_up_intraventricular_ml": _number(comparison.follow_up.intraventricular_ml),
        "change_ml": _number(change.absolute_ml),
        "change_relative": _number(change.relative),
        "change_range_ml": None
        if reach is None
        else [_number(reach.low_ml), _number(reach.high_ml)],
        "definition": (
            Definition.REVISED if comparison.with_ventricles else Definition.STANDARD
        ).value,
        "expanded": comparison.is_expansion,
        "criteria": [each.value for each in Criterion if each in change.criteria],
        "is_certain": None if withheld else change.is_certain,
        "registration_correlation": None
        if comparison.alignment is None
        else _number(comparison.alignment.correlation),
    }
    return record


def refusal_record(
    reason: str,
    *,
    baseline_uid: str,
    follow_up_uid: str,
    model: ModelIdentity,
    steps_s: Mapping[str, float],
) -> dict[str, Any]:
    """Return the record of two series that may not or cannot be compared; volumes are None."""
    record = _record(baseline_uid, follow_up_uid, model, steps_s)
    record["status"] = ComparisonStatus.REFUSED.value
    record["reasons"] = [reason]
    return record


def _record(
    baseline_uid: str, follow_up_uid: str, model: ModelIdentity, steps_s: Mapping[str, float]
) -> dict[str, Any]:
    """Return every key in its order, with what holds for every outcome."""
    return {
        "research_use_only": wording.RESEARCH_STATEMENT,
        "kind": "comparison",
        "status": "",
        "reasons": [],
        "flags": [],
        "baseline_quality": [],
        "follow_up_quality": [],
        "baseline_series_instance_uid": baseline_uid,
        "follow_up_series_instance_uid": follow_up_uid,
        "elapsed_hours": None,
        "baseline_volume_ml": None,
        "follow_up_volume_ml": None,
        "baseline_intraventricular_ml": None,
        "follow_up_intraventricular_ml": None,
        "change_ml": None,
        "change_relative": None,
        "change_range_ml": None,
        "definition": Definition.STANDARD.value,
        "expanded": None,
        "criteria": [],
        "is_certain": None,
        "registration_correlation": None,
        "model": {
            "segmentation": {
                "name": model.name,
                "version": model.version,
                "weights_sha256": model.weights_sha256,
                "demonstration": model.demonstration,
            }
        },
        "seconds": round(sum(steps_s.values()), 3),
        "seconds_per_step": {step: round(seconds, 3) for step, seconds in steps_s.items()},
    }


def _number(value: float | None) -> float | None:
    return None if value is None else round(value, _DECIMALS)


def _values(flags: frozenset[QualityFlag]) -> Sequence[str]:
    return [flag.value for flag in QualityFlag if flag in flags]
