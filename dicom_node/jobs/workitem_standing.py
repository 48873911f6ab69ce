"""What the ledger knows of the images of a workitem: whether they are here, analysed, delivered.

A workitem brings no line of its own: the same series is analysed once, whoever asks for it.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from dicom_node.jobs.database import Database
from dicom_node.jobs.state import (
    DeliveryState,
    JobKind,
    JobState,
    SeriesState,
    move_job,
)
from dicom_node.jobs.tables import DeliveryRow, JobRow, ObjectRow, ResultSetRow, SeriesRow
from dicom_node.jobs.timeline import EventKind, record
from dicom_node.jobs.worklist_ledger import OPEN, InputSeries, OpenWorkitem, named
from dicom_node.jobs.worklist_tables import WorkitemRow

_THERE = (DeliveryState.ACCEPTED, DeliveryState.COMMITTED)


@dataclass(frozen=True, slots=True, kw_only=True)
class InputStanding:
    """Where one series stands that a workitem is about.

    Attributes
    ----------
    series_uid, study_uid : str
        Which one.
    state, reason : SeriesState, str
        Of the series.
    job_state : JobState or None
        Of its newest analysis, None if there is none.
    job_reason : str
        Why it is there.
    result_set_id : int or None
        What the analysis made.
    """

    series_uid: str
    study_uid: str
    state: SeriesState
    reason: str
    job_state: JobState | None = None
    job_reason: str = ""
    result_set_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveredObject:
    """A result object and the names of the destinations that have it."""

    sop_class_uid: str
    sop_instance_uid: str
    series_uid: str
    study_uid: str
    destinations: tuple[str, ...]


class WorkitemStandings:
    """Reads for workitems what the line does. Every method raises LedgerUnavailableError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of(self, inputs: Sequence[InputSeries]) -> tuple[InputStanding, ...]:
        """Return the series that are here."""
        with self._database.read() as session:
            rows = session.scalars(
                select(SeriesRow).where(named(inputs)).order_by(SeriesRow.series_uid)
            )
            return tuple(_standing(session, row) for row in rows)

    def delivered(self, result_set_ids: Collection[int]) -> tuple[DeliveredObject, ...]:
        """Return the objects of these results that some destination has, in send order."""
        with self._database.read() as session:
            rows = session.execute(
                select(ObjectRow, DeliveryRow.destination, SeriesRow.study_uid)
                .join(DeliveryRow, DeliveryRow.object_id == ObjectRow.object_id)
                .join(ResultSetRow, ResultSetRow.result_set_id == ObjectRow.result_set_id)
                .join(SeriesRow, SeriesRow.series_uid == ResultSetRow.series_uid)
                .where(
                    ObjectRow.result_set_id.in_(list(result_set_ids)),
                    DeliveryRow.state.in_(_THERE),
                )
                .order_by(ObjectRow.result_set_id, ObjectRow.send_order, DeliveryRow.destination)
            ).all()
        found: dict[int, tuple[ObjectRow, str, list[str]]] = {}
        for stored, destination, study_uid in rows:
            found.setdefault(stored.object_id, (stored, study_uid, []))[2].append(destination)
        return tuple(
            DeliveredObject(
                sop_class_uid=stored.sop_class_uid,
                sop_instance_uid=stored.sop_instance_uid,
                series_uid=stored.series_instance_uid,
                study_uid=study_uid,
                destinations=tuple(destinations),
            )
            for stored, study_uid, destinations in found.values()
        )

    def not_urgent(self, inputs: Sequence[InputSeries]) -> tuple[str, ...]:
        """Return the studies that are here and do not go before others."""
        with self._database.read() as session:
            return tuple(
                session.scalars(
                    select(SeriesRow.study_uid)
                    .where(named(inputs), SeriesRow.urgency == "")
                    .distinct()
                )
            )

    def withdraw(self, item: OpenWorkitem, reason: str, now: datetime) -> int:
        """Withdraw analyses that nobody but this workitem asked for; return how many.

        Images that the node fetched for it came for nothing else. An analysis that has begun, or
        that another open workitem waits for, is left alone.
        """
        if not item.fetched:
            return 0
        with self._database.write() as session:
            if _others_wait(session, item):
                return 0
            jobs = session.scalars(
                select(JobRow)
                .join(SeriesRow, SeriesRow.series_uid == JobRow.series_uid)
                .where(
                    named(item.inputs),
                    JobRow.state == JobState.QUEUED,
                    JobRow.kind == JobKind.ANALYSIS,
                )
            ).all()
            for job in jobs:
                job.state = move_job(job.state, JobState.WITHDRAWN)
                job.reason, job.finished_at = reason, now
                record(
                    session, now, job.series_uid, EventKind.WITHDRAWN, reason, job_id=job.job_id
                )
            return len(jobs)


def _standing(session: Session, row: SeriesRow) -> InputStanding:
    job = session.scalar(
        select(JobRow)
        .where(JobRow.series_uid == row.series_uid, JobRow.kind == JobKind.ANALYSIS)
        .order_by(JobRow.job_id.desc())
        .limit(1)
    )
    return InputStanding(
        series_uid=row.series_uid,
        study_uid=row.study_uid,
        state=row.state,
        reason=row.reason,
        job_state=None if job is None else job.state,
        job_reason="" if job is None else job.reason,
        result_set_id=None if job is None else job.result_set_id,
    )


def _others_wait(session: Session, item: OpenWorkitem) -> bool:
    """Return whether another open workitem is about one of these studies."""
    others = session.scalars(
        select(WorkitemRow.inputs).where(
            WorkitemRow.workitem_id != item.workitem_id,
            WorkitemRow.state.in_(OPEN),
        )
    )
    return any(one.study_uid in text for text in others for one in item.inputs)
