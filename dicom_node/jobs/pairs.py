"""What the ledger knows of predictions and what became of them; read, never written."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from dicom_node.jobs.database import Database
from dicom_node.jobs.reprocess_lane import is_of_a_run
from dicom_node.jobs.state import JobKind, JobState
from dicom_node.jobs.tables import JobRow

#: States of a job that came to its end with something to say.
_ENDED = (JobState.DELIVERING, JobState.DELIVERED, JobState.REJECTED)


#: What the watch looks at in a record; a ledger of years is read at once, so the rest is dropped.
_KEPT = frozenset(
    {
        *("status", "model", "flags", "scan", "volume_ml", "forecast"),
        *("he_probability", "he_label", "operating_points"),
        *("expanded", "is_certain", "definition", "elapsed_hours", "follow_up_volume_ml"),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AnalysisEntry:
    """An analysis that has ended.

    Attributes
    ----------
    job_id : int
        Its number; later analyses have higher ones.
    series_uid : str
        What was analysed.
    patient_key : str
        Keyed hash that tells patients apart; empty if the analysis has none. Never shown.
    acquired_at : str or None
        Time of the scan in ISO 8601, as its images say it.
    created_at, finished_at : datetime
        When the job was made and when it ended.
    record : mapping
        As `dicom_node.results.record` made it, as far as it is watched.
    """

    job_id: int
    series_uid: str
    patient_key: str = field(repr=False)
    acquired_at: str | None
    created_at: datetime
    finished_at: datetime
    record: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonEntry:
    """A comparison that has ended, with the analysis whose prediction it judges.

    Attributes
    ----------
    job_id : int
        Its number.
    patient_key : str
        As in `AnalysisEntry`.
    baseline : AnalysisEntry
        The earlier scan's analysis.
    follow_up_series_uid : str
        The later scan.
    follow_up_received_at : datetime
        When the later scan's analysis was asked for; nobody knew the outcome before.
    record : mapping
        As `dicom_node.results.comparison_record` made it, as far as it is watched.
    """

    job_id: int
    patient_key: str = field(repr=False)
    baseline: AnalysisEntry
    follow_up_series_uid: str
    follow_up_received_at: datetime
    record: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowEntry:
    """What models on trial said of a scan that was analysed.

    Attributes
    ----------
    analysis_job_id : int
        Job of the analysis that the node sent.
    record : mapping
        Like that of an analysis.
    """

    analysis_job_id: int
    record: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchedJobs:
    """Everything that is watched, as it was at one moment.

    Attributes
    ----------
    analyses : tuple of AnalysisEntry
        The last analysis of each series by each pair of models, the oldest first.
    comparisons : tuple of ComparisonEntry
        The last comparison of each later scan, the oldest first.
    shadows : tuple of ShadowEntry
        The oldest first.
    """

    analyses: tuple[AnalysisEntry, ...] = ()
    comparisons: tuple[ComparisonEntry, ...] = ()
    shadows: tuple[ShadowEntry, ...] = ()


class PairLedger:
    """Reads what is watched. Every method raises LedgerUnavailableError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def mark(self) -> tuple[object, ...]:
        """Return what is different whenever `watched` might be; cheap to ask for."""
        with self._database.read() as session:
            found = session.execute(
                select(
                    func.count(),
                    func.max(JobRow.job_id),
                    func.max(JobRow.finished_at, type_=JobRow.finished_at.type),
                ).where(JobRow.finished_at.is_not(None))
            ).one()
        return tuple(found)

    def watched(self) -> WatchedJobs:
        """Return everything that is watched."""
        with self._database.read() as session:
            analyses = {row.job_id: _analysis(row) for row in _ended(session, JobKind.ANALYSIS)}
            return WatchedJobs(
                analyses=_last_of_each_series(analyses),
                comparisons=_comparisons(session, analyses),
                shadows=tuple(
                    ShadowEntry(analysis_job_id=row.analysis_job_id, record=_record(row))
                    for row in _ended(session, JobKind.SHADOW)
                    if row.analysis_job_id is not None
                ),
            )


def _ended(session: Session, kind: JobKind) -> list[JobRow]:
    """Return the jobs of a kind that have a record, the oldest first; none that a re-read caused.

    An archive says nothing of how the site is today.
    """
    found = session.scalars(
        select(JobRow)
        .where(
            JobRow.kind == kind,
            JobRow.finished_at.is_not(None),
            JobRow.record != "",
            ~is_of_a_run(JobRow.job_id),
            # a failed delivery does not unsay the opinion
            JobRow.state.in_(_ENDED) | JobRow.result_set_id.is_not(None),
        )
        .order_by(JobRow.job_id)
    )
    return list(found)


def _comparisons(
    session: Session, analyses: Mapping[int, AnalysisEntry]
) -> tuple[ComparisonEntry, ...]:
    latest: dict[str, ComparisonEntry] = {}
    for row in _ended(session, JobKind.COMPARISON):
        baseline = analyses.get(row.baseline_job_id or 0)
        follow_up = analyses.get(row.analysis_job_id or 0)
        if baseline is None or follow_up is None:
            continue
        latest.pop(row.series_uid, None)
        latest[row.series_uid] = ComparisonEntry(
            job_id=row.job_id,
            patient_key=row.patient_key,
            baseline=baseline,
            follow_up_series_uid=row.series_uid,
            follow_up_received_at=follow_up.created_at,
            record=_record(row),
        )
    return tuple(latest.values())


def _last_of_each_series(analyses: Mapping[int, AnalysisEntry]) -> tuple[AnalysisEntry, ...]:
    """Return one analysis of each series by the same models: a repeat is no further patient."""
    latest: dict[tuple[str, str], AnalysisEntry] = {}
    for entry in analyses.values():
        key = (entry.series_uid, json.dumps(entry.record.get("model"), sort_keys=True))
        latest.pop(key, None)
        latest[key] = entry
    return tuple(latest.values())


def _analysis(row: JobRow) -> AnalysisEntry:
    return AnalysisEntry(
        job_id=row.job_id,
        series_uid=row.series_uid,
        patient_key=row.patient_key,
        acquired_at=row.acquired_at,
        created_at=row.created_at,
        finished_at=row.finished_at or row.created_at,
        record=_record(row),
    )


def _record(row: JobRow) -> Mapping[str, Any]:
    return {name: value for name, value in json.loads(row.record).items() if name in _KEPT}
