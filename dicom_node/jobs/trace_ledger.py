"""What the ledger knows of the way of a job: from its images to its last delivery, with times.

Read from rows that are there anyway, after the job has come to its end: nothing is measured for it
and a process that is killed takes nothing along.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from dicom_node.jobs.database import Database
from dicom_node.jobs.state import DeliveryState, JobKind
from dicom_node.jobs.tables import AssociationRow, DeliveryRow, EventRow, JobRow, SeriesRow
from dicom_node.jobs.timeline import EventKind
from dicom_node.jobs.traces import association_of

#: So many at a time; the rest follows with the next look.
_BATCH = 50

_ENDS = (EventKind.DELIVERED, EventKind.REJECTED, EventKind.FAILED, EventKind.WITHDRAWN)

#: What closes the last step of an attempt.
_CLOSING = frozenset(
    {EventKind.RESULTS, EventKind.REJECTED, EventKind.ATTEMPT_FAILED, EventKind.FAILED}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """Something that took from one moment to another.

    Attributes
    ----------
    name : str
        What.
    begin, end : datetime
        From when until when, aware.
    good : bool
        Whether it came to a good end.
    is_step : bool
        Whether it is a part of the attempt that stands before it.
    """

    name: str
    begin: datetime
    end: datetime
    good: bool = True
    is_step: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class EndedJob:
    """A job that has come to an end.

    Attributes
    ----------
    event_id : int
        Of its end; later ends have higher ones.
    job_id : int
        Its number.
    kind : JobKind
        What was done.
    outcome : EventKind
        How it ended.
    series_uid : str
        With which series.
    association_id : str
        By which its last image came; empty if none is known.
    caller : str
        Who sent that; empty if it is not known.
    attempts : int
        How often it was begun.
    stretches : tuple of Stretch
        Reception, assembly, wait, each attempt, its steps, each delivery.
    """

    event_id: int
    job_id: int
    kind: JobKind
    outcome: EventKind
    series_uid: str
    association_id: str
    caller: str
    attempts: int
    stretches: tuple[Stretch, ...]

    @property
    def begin(self) -> datetime:
        """When the first of it began."""
        return min(one.begin for one in self.stretches)

    @property
    def end(self) -> datetime:
        """When the last of it ended."""
        return max(one.end for one in self.stretches)


class TraceLedger:
    """Reads ends of jobs. Every method raises LedgerUnavailableError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def last_event(self) -> int:
        """Return the last event there is, 0 if there is none."""
        with self._database.read() as session:
            return session.scalar(select(func.max(EventRow.event_id))) or 0

    def ended(self, after: int) -> tuple[EndedJob, ...]:
        """Return jobs that came to an end after an event, oldest first.

        A job that is tried again after its end, or delivered again, ends once more.
        """
        with self._database.read() as session:
            ends = session.scalars(
                select(EventRow)
                .where(
                    EventRow.event_id > after,
                    EventRow.kind.in_([kind.value for kind in _ENDS]),
                    EventRow.job_id.is_not(None),
                )
                .order_by(EventRow.event_id)
                .limit(_BATCH)
            ).all()
            return tuple(_ended(session, end) for end in ends)


def _ended(session: Session, end: EventRow) -> EndedJob:
    job = session.get_one(JobRow, end.job_id)
    association = session.get(AssociationRow, association_of(session, job))
    events = session.scalars(
        select(EventRow)
        .where(EventRow.job_id == job.job_id, EventRow.event_id <= end.event_id)
        .order_by(EventRow.event_id)
    ).all()
    stretches = [*_attempts(events), *_deliveries(session, job, events)]
    claimed = next((one.at for one in events if one.kind == EventKind.CLAIMED), end.at)
    stretches.insert(0, _stretch("queue", job.created_at, claimed))
    if job.kind is JobKind.ANALYSIS:
        series = session.get_one(SeriesRow, job.series_uid)
        stretches.insert(0, _stretch("assembly", series.last_received_at, job.created_at))
        if association is not None:
            closed = association.closed_at or series.last_received_at
            stretches.insert(0, _stretch("receive", association.opened_at, closed))
    return EndedJob(
        event_id=end.event_id,
        job_id=job.job_id,
        kind=job.kind,
        outcome=EventKind(end.kind),
        series_uid=job.series_uid,
        association_id="" if association is None else association.association_id,
        caller="" if association is None else association.calling_ae_title,
        attempts=sum(one.kind == EventKind.CLAIMED for one in events),
        stretches=tuple(stretches),
    )


def _attempts(events: Sequence[EventRow]) -> list[Stretch]:
    """Return each attempt, and behind it its steps: a step lasts until the next one begins."""
    found: list[Stretch] = []
    claimed: datetime | None = None
    steps: list[tuple[str, datetime]] = []
    for event in events:
        kind = EventKind(event.kind)
        if kind is EventKind.CLAIMED:
            claimed, steps = event.at, []
        elif kind is EventKind.STEP:
            steps.append((event.text, event.at))
        elif kind in _CLOSING and claimed is not None:
            good = kind in {EventKind.RESULTS, EventKind.REJECTED}
            found.append(_stretch("attempt", claimed, event.at, good=good))
            ends = [*(begin for _, begin in steps), event.at][1:]
            for number, ((name, begin), after) in enumerate(zip(steps, ends, strict=True)):
                is_last = number == len(steps) - 1
                found.append(_stretch(name, begin, after, good=good or not is_last, is_step=True))
            claimed = None
    return found


def _deliveries(session: Session, job: JobRow, events: Sequence[EventRow]) -> list[Stretch]:
    """Return the way of the results to each destination that has them, or will never."""
    made = [one.at for one in events if one.kind == EventKind.RESULTS]
    if job.result_set_id is None or not made:
        return []
    rows = session.scalars(
        select(DeliveryRow).where(DeliveryRow.result_set_id == job.result_set_id)
    ).all()
    found = []
    for name in sorted({row.destination for row in rows}):
        parts = [row for row in rows if row.destination == name]
        ends = [row.accepted_at for row in parts if row.accepted_at is not None]
        lost = [row for row in parts if row.state is DeliveryState.DEAD]
        end = max([*ends, *([events[-1].at] if lost else [])], default=made[-1])
        found.append(_stretch(f"deliver {name}", made[-1], end, good=not lost))
    return found


def _stretch(
    name: str, begin: datetime, end: datetime, *, good: bool = True, is_step: bool = False
) -> Stretch:
    """Return a stretch that does not end before it begins, though a clock was set back."""
    return Stretch(name=name, begin=begin, end=max(begin, end), good=good, is_step=is_step)
