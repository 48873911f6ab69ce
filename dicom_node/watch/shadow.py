"""Models on trial beside those in use, on the same scans and the same outcomes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dicom_node.jobs.pairs import AnalysisEntry, WatchedJobs
from dicom_node.watch.model_version import ModelVersion, version_of
from dicom_node.watch.outcomes import Followed, Outcome
from pipeline.statistics.delong import delong
from pipeline.statistics.estimate import Estimate
from pipeline.statistics.roc import auc_or_none


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowComparison:
    """What models on trial say beside the models in use.

    Attributes
    ----------
    current, shadow : ModelVersion
        Who is compared.
    scans : int
        Scans that both have looked at.
    found_by_one : int
        Of these, in how many only one of them found a hematoma.
    called_otherwise : int
        Of those in which both found one, in how many they call expansion differently.
    volume_difference_ml, probability_difference : float or None
        Mean absolute difference where both found one; None if that is nowhere.
    pairs, expansions : int
        Patients with an outcome and with the opinion of both.
    current_auc, shadow_auc : float or None
        On these pairs; None with one outcome only.
    auc_difference : Estimate or None
        Shadow minus current with its 95 % interval (DeLong, paired); None where none can be had.
    p_value : float or None
        Of no difference, two-sided (DeLong, paired).
    """

    current: ModelVersion
    shadow: ModelVersion
    scans: int
    found_by_one: int
    called_otherwise: int
    volume_difference_ml: float | None
    probability_difference: float | None
    pairs: int
    expansions: int
    current_auc: float | None
    shadow_auc: float | None
    auc_difference: Estimate | None
    p_value: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _SeenTwice:
    """A scan that both have looked at."""

    analysis: AnalysisEntry
    shadow: Mapping[str, Any]


def compare_shadows(
    jobs: WatchedJobs, followed: Mapping[ModelVersion, Followed]
) -> tuple[ShadowComparison, ...]:
    """Return one comparison of each shadow with each version that it ran beside."""
    analyses = {entry.job_id: entry for entry in jobs.analyses}
    # a comparison may rest on an analysis that was repeated since
    analyses |= {entry.baseline.job_id: entry.baseline for entry in jobs.comparisons}
    groups: dict[tuple[ModelVersion, ModelVersion], dict[int, _SeenTwice]] = {}
    for entry in jobs.shadows:
        analysis = analyses.get(entry.analysis_job_id)
        if analysis is None:
            continue
        key = (version_of(analysis.record), version_of(entry.record))
        seen = _SeenTwice(analysis=analysis, shadow=entry.record)
        groups.setdefault(key, {})[analysis.job_id] = seen
    return tuple(
        _compare(current, shadow, seen, _outcomes(followed, current))
        for (current, shadow), seen in groups.items()
    )


def _outcomes(
    followed: Mapping[ModelVersion, Followed], version: ModelVersion
) -> Sequence[Outcome]:
    return followed[version].outcomes if version in followed else ()


def _compare(
    current: ModelVersion,
    shadow: ModelVersion,
    seen: Mapping[int, _SeenTwice],
    outcomes: Sequence[Outcome],
) -> ShadowComparison:
    both = [one for one in seen.values() if _found(one.analysis.record) and _found(one.shadow)]
    either = [one for one in seen.values() if _found(one.analysis.record) or _found(one.shadow)]
    paired = [
        (one, float(seen[one.baseline_job_id].shadow["he_probability"]))
        for one in outcomes
        if one.baseline_job_id in seen and _found(seen[one.baseline_job_id].shadow)
    ]
    positive = np.array([one.expanded for one, _ in paired], dtype=bool)
    # an array of shape (shadow and current, pairs)
    told = np.array([[trial for _, trial in paired], [one.probability for one, _ in paired]])
    difference, p_value = _paired_test(positive, told)
    return ShadowComparison(
        current=current,
        shadow=shadow,
        scans=len(seen),
        found_by_one=len(either) - len(both),
        called_otherwise=sum(
            one.analysis.record.get("he_label") != one.shadow.get("he_label") for one in both
        ),
        volume_difference_ml=_mean_difference(both, "volume_ml"),
        probability_difference=_mean_difference(both, "he_probability"),
        pairs=len(paired),
        expansions=int(positive.sum()),
        current_auc=auc_or_none(positive, told[1]) if paired else None,
        shadow_auc=auc_or_none(positive, told[0]) if paired else None,
        auc_difference=difference,
        p_value=p_value,
    )


def _paired_test(
    positive: "np.ndarray[Any, np.dtype[np.bool_]]",
    told: "np.ndarray[Any, np.dtype[np.float64]]",
) -> tuple[Estimate | None, float | None]:
    try:
        found = delong(positive, told)
    except ValueError:  # fewer than two cases of an outcome
        return None, None
    return found.difference(), found.p_value()


def _found(record: Mapping[str, Any]) -> bool:
    return record.get("status") == "hematoma_found" and record.get("he_probability") is not None


def _mean_difference(seen: Sequence[_SeenTwice], name: str) -> float | None:
    if not seen:
        return None
    away = [abs(float(one.shadow[name]) - float(one.analysis.record[name])) for one in seen]
    return sum(away) / len(away)
