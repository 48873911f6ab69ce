"""What a person may want to know of the ledger."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import func, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from dicom_node.jobs.commitment_requests import CommitmentRequests
from dicom_node.jobs.database import Database
from dicom_node.jobs.destination_ledger import DestinationLedger, DestinationStatus
from dicom_node.jobs.documents import Documents
from dicom_node.jobs.retention_tables import StudyHoldRow
from dicom_node.jobs.state import DeliveryState, JobKind, JobState, SeriesState
from dicom_node.jobs.status import (
    DeliveryStatus,
    JobStatus,
    ObjectStatus,
    Overview,
    ProcessStatus,
    SearchStatus,
    SeriesStatus,
    TimelineEntry,
)
from dicom_node.jobs.tables import (
    DeliveryRow,
    EventRow,
    InstanceRow,
    JobRow,
    ObjectRow,
    PriorSearchRow,
    ProcessRow,
    SeriesRow,
)

StateT = TypeVar("StateT", SeriesState, JobState, DeliveryState)


class Reports:
    """Reads the ledger and changes nothing. Every method raises LedgerUnavailableError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def overview(self, *, limit: int = 200) -> Overview:
        """Return the last series and how many things are in which state."""
        with self._database.read() as session:
            rows = session.scalars(
                select(SeriesRow).order_by(SeriesRow.last_received_at.desc()).limit(limit)
            ).all()
            return Overview(
                series=series_statuses(session, rows),
                series_by_state=_counts(session, SeriesRow.state),
                jobs_by_state=_counts(session, JobRow.state),
                deliveries_by_state=_counts(session, DeliveryRow.state),
            )

    def series(self, series_uid: str) -> SeriesStatus | None:
        """Return one series, None if the ledger does not know it."""
        with self._database.read() as session:
            row = session.get(SeriesRow, series_uid)
            return series_statuses(session, [row])[0] if row is not None else None

    def timeline(self, series_uid: str) -> tuple[TimelineEntry, ...]:
        """Return what happened to a series, oldest first."""
        with self._database.read() as session:
            rows = session.scalars(
                select(EventRow)
                .where(EventRow.series_uid == series_uid)
                .order_by(EventRow.event_id)
            )
            return tuple(
                TimelineEntry(at=row.at, kind=row.kind, text=row.text, job_id=row.job_id)
                for row in rows
            )

    def processes(self) -> tuple[ProcessStatus, ...]:
        """Return the processes of the node, the latest start first."""
        with self._database.read() as session:
            rows = session.scalars(select(ProcessRow).order_by(ProcessRow.started_at.desc()))
            return tuple(
                ProcessStatus(
                    name=row.name,
                    host=row.host,
                    pid=row.pid,
                    started_at=row.started_at,
                    seen_at=row.seen_at,
                    ended_at=row.ended_at,
                )
                for row in rows
            )

    def document(self, key: str) -> Any | None:  # noqa: ANN401 - JSON
        """Return what a part of the node wrote down under a key, None if nothing."""
        return Documents(self._database).read(key)

    def destinations(self) -> tuple[DestinationStatus, ...]:
        """Return every destination that anything was meant for, by name."""
        return DestinationLedger(self._database).statuses()

    def untold_commitments(self) -> tuple[tuple[str, str], ...]:
        """Return who asked for storage commitment and could not be told, and why."""
        return CommitmentRequests(self._database).untold()

    def objects(self, job_id: int) -> tuple[ObjectStatus, ...]:
        """Return the results of a job, in the order they are sent."""
        with self._database.read() as session:
            rows = session.scalars(
                select(ObjectRow)
                .join(JobRow, JobRow.result_set_id == ObjectRow.result_set_id)
                .where(JobRow.job_id == job_id)
                .order_by(ObjectRow.send_order)
            )
            return tuple(
                ObjectStatus(
                    kind=row.kind,
                    sop_class_uid=row.sop_class_uid,
                    sop_instance_uid=row.sop_instance_uid,
                    path=Path(row.path),
                )
                for row in rows
            )

    def outbox_paths(self) -> frozenset[Path]:
        """Return the files of the outbox that belong to a result, relative to it."""
        with self._database.read() as session:
            paths = session.scalars(select(ObjectRow.path).where(ObjectRow.purged_at.is_(None)))
            return frozenset(Path(path) for path in paths)


def series_statuses(session: Session, rows: Sequence[SeriesRow]) -> tuple[SeriesStatus, ...]:
    """Return where series stand, in the order of the rows."""
    uids = [row.series_uid for row in rows]
    images = _as_dict(
        session.execute(
            select(InstanceRow.series_uid, func.count())
            .where(InstanceRow.series_uid.in_(uids), InstanceRow.current)
            .group_by(InstanceRow.series_uid)
        )
    )
    jobs = _latest_jobs(session, uids, JobKind.ANALYSIS)
    comparisons = _latest_jobs(session, uids, JobKind.COMPARISON)
    deliveries = _deliveries(session, [*jobs.values(), *comparisons.values()])
    searches = _searches(session, uids)
    purged = _purged(session, uids)
    holds = _holds(session, {row.study_uid for row in rows})
    return tuple(
        SeriesStatus(
            series_instance_uid=row.series_uid,
            study_instance_uid=row.study_uid,
            state=row.state,
            reason=row.reason,
            calling_ae_title=row.calling_ae_title,
            images=images.get(row.series_uid, 0),
            first_received_at=row.first_received_at,
            last_received_at=row.last_received_at,
            job=_job(job) if (job := jobs.get(row.series_uid)) else None,
            deliveries=tuple(deliveries.get(job.result_set_id, ())) if job else (),
            comparison=_job(other) if (other := comparisons.get(row.series_uid)) else None,
            comparison_deliveries=(
                tuple(deliveries.get(other.result_set_id, ())) if other else ()
            ),
            searches=tuple(searches.get(row.series_uid, ())),
            urgency=row.urgency,
            hold=holds.get(row.study_uid, ""),
            purged_at=row.purged_at if row.series_uid in purged else None,
        )
        for row in rows
    )


def _latest_jobs(session: Session, uids: Sequence[str], kind: JobKind) -> dict[str, JobRow]:
    """Return the latest job of this kind of each series that has one."""
    rows = session.scalars(
        select(JobRow)
        .where(JobRow.series_uid.in_(uids), JobRow.kind == kind)
        .order_by(JobRow.job_id)
    )
    return {job.series_uid: job for job in rows if _counts_as_latest(job)}


def _purged(session: Session, uids: Sequence[str]) -> set[str]:
    """Return the series whose images were purged and are not all here again."""
    return set(
        session.scalars(
            select(InstanceRow.series_uid)
            .where(
                InstanceRow.series_uid.in_(uids),
                InstanceRow.current,
                InstanceRow.purged_at.is_not(None),
            )
            .distinct()
        )
    )


def _holds(session: Session, study_uids: Iterable[str]) -> dict[str, str]:
    """Return why studies are on legal hold."""
    rows = session.scalars(
        select(StudyHoldRow).where(StudyHoldRow.study_uid.in_(list(study_uids)))
    )
    return {row.study_uid: row.why for row in rows}


def _searches(session: Session, uids: Sequence[str]) -> dict[str, list[SearchStatus]]:
    found: dict[str, list[SearchStatus]] = {}
    rows = session.scalars(
        select(PriorSearchRow)
        .where(PriorSearchRow.series_uid.in_(uids))
        .order_by(PriorSearchRow.search_id)
    )
    for row in rows:
        found.setdefault(row.series_uid, []).append(
            SearchStatus(
                peer=row.peer,
                state=row.state,
                attempts=row.attempts,
                reason=row.reason,
                next_attempt_at=row.next_attempt_at,
            )
        )
    return found


def _counts_as_latest(job: JobRow) -> bool:
    """Return whether a job stands for its series: a comparison that was overtaken does not."""
    return job.kind is JobKind.ANALYSIS or job.state is not JobState.WITHDRAWN


def _deliveries(
    session: Session, jobs: Iterable[JobRow]
) -> dict[int | None, list[DeliveryStatus]]:
    result_sets = {job.result_set_id for job in jobs if job.result_set_id is not None}
    found: dict[int | None, list[DeliveryStatus]] = {}
    pairs = session.execute(
        select(DeliveryRow, ObjectRow)
        .join(ObjectRow, ObjectRow.object_id == DeliveryRow.object_id)
        .where(DeliveryRow.result_set_id.in_(result_sets))
        .order_by(DeliveryRow.destination, ObjectRow.send_order)
    )
    for row, stored in pairs:
        found.setdefault(row.result_set_id, []).append(
            DeliveryStatus(
                delivery_id=row.delivery_id,
                destination=row.destination,
                kind=stored.kind,
                sop_instance_uid=stored.sop_instance_uid,
                state=row.state,
                attempts=row.attempts,
                reason=row.reason,
                next_attempt_at=row.next_attempt_at,
                accepted_at=row.accepted_at,
            )
        )
    return found


def _job(row: JobRow) -> JobStatus:
    return JobStatus(
        job_id=row.job_id,
        state=row.state,
        reason=row.reason,
        attempts=row.attempts,
        flags=frozenset(row.flags.split()),
        created_at=row.created_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
        supersedes=row.supersedes,
        record=json.loads(row.record) if row.record else {},
        kind=row.kind,
        baseline_job_id=row.baseline_job_id,
        analysis_job_id=row.analysis_job_id,
    )


def _counts(session: Session, state: InstrumentedAttribute[StateT]) -> dict[StateT, int]:
    return _as_dict(session.execute(select(state, func.count()).group_by(state)))


def _as_dict(rows: Iterable[Any]) -> dict[Any, int]:
    return {row[0]: row[1] for row in rows}
