"""Who of those that were followed takes part in an export: pure, pairs in, patients out."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from dicom_node.export.exclusion import Exclusion
from dicom_node.jobs.followed import FollowedPair, FollowedScan


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedPatient:
    """A patient with a baseline scan and what followed it.

    Attributes
    ----------
    baseline : FollowedScan
        First scan of the first hemorrhage.
    pairs : tuple of FollowedPair
        Its comparisons with later scans, in the order these were taken.
    """

    baseline: FollowedScan
    pairs: tuple[FollowedPair, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Who takes part, and why others do not.

    Attributes
    ----------
    patients : tuple of PlannedPatient
        Everybody who may take part as far as the ledger knows.
    excluded : tuple of (FollowedPair, Exclusion)
        Pairs that do not.
    """

    patients: tuple[PlannedPatient, ...]
    excluded: tuple[tuple[FollowedPair, Exclusion], ...] = field(repr=False)


def plan_export(
    pairs: Sequence[FollowedPair],
    *,
    since: datetime | None = None,
) -> Plan:
    """Return who takes part.

    One hemorrhage of each patient, the first one with a verdict, so that patients are
    independent; all its later scans, so that whoever trains may choose among them.

    Parameters
    ----------
    pairs
        The last comparison of each later scan.
    since
        Leave out comparisons that were made before.
    """
    excluded: list[tuple[FollowedPair, Exclusion]] = []
    by_patient: dict[str, list[FollowedPair]] = {}
    for pair in pairs:
        reason = _reason(pair, since)
        if reason is not None:
            excluded.append((pair, reason))
            continue
        by_patient.setdefault(pair.patient_key or f"job {pair.job_id}", []).append(pair)
    patients = []
    for own in by_patient.values():
        own.sort(key=_order)
        baseline = own[0].baseline
        same = [pair for pair in own if pair.baseline.series_uid == baseline.series_uid]
        excluded += [(pair, Exclusion.LATER_EPISODE) for pair in own if pair not in same]
        patients.append(PlannedPatient(baseline=baseline, pairs=tuple(same)))
    return Plan(patients=tuple(patients), excluded=tuple(excluded))


def _reason(pair: FollowedPair, since: datetime | None) -> Exclusion | None:
    status = pair.record.get("status")
    if status == "no_verdict":
        return Exclusion.NO_VERDICT
    if status != "compared" or pair.record.get("expanded") is None:
        return Exclusion.REFUSED
    if not pair.record.get("baseline_volume_ml"):
        return Exclusion.NO_HEMATOMA
    if since is not None and pair.finished_at < since:
        return Exclusion.OUTSIDE_TIME
    return None


def _order(pair: FollowedPair) -> tuple[str, str, int]:
    return (pair.baseline.acquired_at, pair.follow_up.acquired_at, pair.job_id)
