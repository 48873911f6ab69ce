"""Everything that the watch has to say, for people and programs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dicom_node.jobs.pairs import AnalysisEntry, WatchedJobs
from dicom_node.watch.alarms import Alarm, alarms_of
from dicom_node.watch.drift import Drift, drift_of
from dicom_node.watch.forecasts import ForecastScores, forecast_scores
from dicom_node.watch.model_version import ModelVersion, version_of
from dicom_node.watch.outcomes import Exclusion, Followed, Outcome, follow, opinion_of, patient_of
from dicom_node.watch.performance import Performance, performance_of
from dicom_node.watch.rules import WatchRules
from dicom_node.watch.shadow import ShadowComparison, compare_shadows
from pipeline.training_statistics import TrainingStatistics

_NOBODY = Followed(outcomes=(), excluded={})


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class VersionReport:
    """What is known of one model version.

    Attributes
    ----------
    version : ModelVersion
        Which.
    analyses : int
        Analyses by it.
    patients : int
        Patients in whom it gave a probability of expansion.
    followed_mean, other_mean : float or None
        Mean probability of patients with an outcome, and of those without one: who gets a second
        scan is no chance, and the difference shows how much.
    performance : Performance
        Predictions against outcomes.
    forecasts : ForecastScores or None
        Forecast volumes against measured ones; None if none can be judged.
    outcomes : tuple of Outcome
        What it was computed from.
    excluded : mapping of Exclusion to int
        Comparisons that are no pair.
    """

    version: ModelVersion
    analyses: int
    patients: int
    followed_mean: float | None
    other_mean: float | None
    performance: Performance
    forecasts: ForecastScores | None
    outcomes: tuple[Outcome, ...]
    excluded: Mapping[Exclusion, int]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class WatchReport:
    """The watch at one moment.

    Attributes
    ----------
    rules : WatchRules
        Limits that it was judged by.
    versions : tuple of VersionReport
        The one in use first; never counted together.
    drifts : tuple of Drift
        Of the version in use.
    shadows : tuple of ShadowComparison
        Models on trial.
    alarms : tuple of Alarm
        What stands, about the version in use.
    """

    rules: WatchRules
    versions: tuple[VersionReport, ...]
    drifts: tuple[Drift, ...]
    shadows: tuple[ShadowComparison, ...]
    alarms: tuple[Alarm, ...]


def watch(
    jobs: WatchedJobs,
    rules: WatchRules,
    *,
    statistics: Mapping[str, TrainingStatistics],
) -> WatchReport:
    """Return the report.

    Parameters
    ----------
    jobs : WatchedJobs
        What the ledger knows.
    rules : WatchRules
        What counts as an outcome, and what alarms.
    statistics : mapping of str to TrainingStatistics
        Of the bundles that can be read, by the digest of their weights.
    """
    followed = follow(jobs.comparisons, rules)
    by_version: dict[ModelVersion, list[AnalysisEntry]] = {}
    for entry in jobs.analyses:
        by_version.setdefault(version_of(entry.record), []).append(entry)
    for version in followed:
        by_version.setdefault(version, [])
    newest = sorted(by_version, key=lambda one: _last(by_version[one]), reverse=True)
    versions = tuple(
        _version_report(version, by_version[version], followed.get(version, _NOBODY), rules)
        for version in newest
    )
    shadows = compare_shadows(jobs, followed)
    if not versions:
        return WatchReport(rules=rules, versions=(), drifts=(), shadows=shadows, alarms=())
    present = versions[0].version
    drifts = drift_of(by_version[present], rules, statistics=known_statistics(present, statistics))
    return WatchReport(
        rules=rules,
        versions=versions,
        drifts=drifts,
        shadows=shadows,
        alarms=alarms_of(versions[0].performance, drifts, rules),
    )


def known_statistics(
    version: ModelVersion, statistics: Mapping[str, TrainingStatistics]
) -> Sequence[TrainingStatistics]:
    """Return the statistics of a version's bundles; of the segmentation first."""
    weights = (version.segmentation_sha256, version.classification_sha256)
    return [statistics[one] for one in weights if one in statistics]


def _last(analyses: Sequence[AnalysisEntry]) -> int:
    return analyses[-1].job_id if analyses else 0


def _version_report(
    version: ModelVersion,
    analyses: Sequence[AnalysisEntry],
    followed: Followed,
    rules: WatchRules,
) -> VersionReport:
    told = [one.probability for one in followed.outcomes]
    counted = {one.patient for one in followed.outcomes}
    others: dict[str, float] = {}
    for one in analyses:
        opinion, patient = opinion_of(one), patient_of(one)
        if opinion is not None and patient not in counted:
            others.setdefault(patient, opinion)
    return VersionReport(
        version=version,
        analyses=len(analyses),
        patients=len(told) + len(others),
        followed_mean=sum(told) / len(told) if told else None,
        other_mean=sum(others.values()) / len(others) if others else None,
        performance=performance_of(followed.outcomes, rules),
        forecasts=forecast_scores(followed.outcomes),
        outcomes=followed.outcomes,
        excluded=followed.excluded,
    )
