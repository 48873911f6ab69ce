"""Brings back what the ledger keeps of a clock that was set back (`dicom_node.wall_clock`)."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, exists, select, update
from sqlalchemy.orm import InstrumentedAttribute

from dicom_node.jobs.database import Database
from dicom_node.jobs.delivery_tables import CommitmentRequestRow, DestinationRow
from dicom_node.jobs.reprocess_tables import ReprocessRunRow, ReprocessStudyRow
from dicom_node.jobs.state import DeliveryState, JobState, SearchState, SeriesState
from dicom_node.jobs.tables import DeliveryRow, JobRow, PriorSearchRow, ProcessRow, SeriesRow
from dicom_node.wall_clock import latest_lawful

LOGGER = logging.getLogger(__name__)

#: A time of any table; facts and waits are brought back alike, whether they may be absent or not.
_Time = InstrumentedAttribute[datetime] | InstrumentedAttribute[datetime | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class LongestWaits:
    """How far ahead a time of the ledger can lawfully lie, in seconds.

    Attributes
    ----------
    series_s : float
        Until a series is looked at again.
    job_s : float
        Until a job is tried again.
    job_lease_s, job_limit_s : float
        Until a worker must be heard of, and must have ended.
    delivery_s : float
        Until an object is sent again.
    delivery_lease_s : float
        Until a courier must be heard of.
    probe_s : float
        Until a destination that is out of reach is tried.
    commitment_s : float
        Until a storage commitment is asked for again.
    report_s : float
        Until a sender is told again what it asked for.
    search_s : float
        Until a search for earlier scans is tried again.
    reprocess_s : float
        Until a study of a re-read is tried again.
    """

    series_s: float = 60.0
    job_s: float = 600.0
    job_lease_s: float = 60.0
    job_limit_s: float = 900.0
    delivery_s: float = 3600.0
    delivery_lease_s: float = 300.0
    probe_s: float = 300.0
    commitment_s: float = 3600.0
    report_s: float = 3600.0
    search_s: float = 3600.0
    reprocess_s: float = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    """A time of the ledger, and what it can mean.

    Attributes
    ----------
    time : attribute
        Column.
    of : conditions
        Rows in which it counts.
    longest_s : float
        How far ahead it can lie; 0 for a fact.
    is_lease : bool
        Whether whoever holds the row may go on: it is then given the whole wait anew, not ended.
    """

    time: _Time
    of: tuple[ColumnElement[bool], ...] = ()
    longest_s: float = 0.0
    is_lease: bool = False

    def is_ahead(self, now: datetime) -> ColumnElement[bool]:
        """Return the condition that it was written by a clock that has been set back since."""
        limit = latest_lawful(now, timedelta(seconds=self.longest_s))
        condition: ColumnElement[bool] = self.time > limit
        for one in self.of:
            condition &= one
        return condition

    def mended(self, now: datetime) -> datetime:
        """Return what it is to be instead."""
        return now + timedelta(seconds=self.longest_s) if self.is_lease else now


class FutureTimes:
    """Looks for times that cannot be meant; the one place where a clock that was set back is met.

    Series would wait for the end of their arrival, jobs, deliveries, searches and commitments for
    their turn, dead processes count as alive, until the clock has caught up.
    """

    def __init__(self, database: Database, waits: LongestWaits) -> None:
        self._database = database
        self._kept = tuple(_kept(waits))

    def bring_back(self, now: datetime) -> int:
        """Take every such time for the present; return how many. Raises LedgerError."""
        with self._database.read() as session:
            ahead = [
                one
                for one in self._kept
                if session.scalar(select(exists().where(one.is_ahead(now))))
            ]
        if not ahead:
            return 0
        with self._database.write() as session:
            number = 0
            for one in ahead:
                rows = session.execute(
                    update(one.time.class_)
                    .where(one.is_ahead(now))
                    .values({one.time: one.mended(now)})
                    .execution_options(synchronize_session=False)
                )
                number += rows.rowcount  # type: ignore[attr-defined] # of an update it is there
        LOGGER.warning("The clock was set back; %s times that lay ahead count as now", number)
        return number


def _kept(waits: LongestWaits) -> Iterator[_Kept]:
    """Return every time of the ledger that somebody waits for."""
    receiving = (SeriesRow.state == SeriesState.RECEIVING,)
    complete = (SeriesRow.state == SeriesState.COMPLETE,)
    analyzing = (JobRow.state == JobState.ANALYZING,)
    sending = (DeliveryRow.state == DeliveryState.SENDING,)
    yield _Kept(time=SeriesRow.last_received_at)
    yield _Kept(time=SeriesRow.complete_at, of=complete)
    yield _Kept(time=SeriesRow.look_at, of=receiving, longest_s=waits.series_s)
    yield _Kept(
        time=JobRow.available_at, of=(JobRow.state == JobState.QUEUED,), longest_s=waits.job_s
    )
    yield _Kept(time=JobRow.lease_until, of=analyzing, longest_s=waits.job_lease_s, is_lease=True)
    yield _Kept(time=JobRow.deadline_at, of=analyzing, longest_s=waits.job_limit_s, is_lease=True)
    yield _Kept(
        time=DeliveryRow.next_attempt_at,
        of=(DeliveryRow.state == DeliveryState.PENDING,),
        longest_s=waits.delivery_s,
    )
    yield _Kept(
        time=DeliveryRow.lease_until,
        of=sending,
        longest_s=waits.delivery_lease_s,
        is_lease=True,
    )
    yield _Kept(
        time=DeliveryRow.commitment_at,
        of=(DeliveryRow.state == DeliveryState.ACCEPTED,),
        longest_s=waits.commitment_s,
    )
    yield _Kept(
        time=DeliveryRow.accepted_at,
        of=(DeliveryRow.state == DeliveryState.ACCEPTED, DeliveryRow.commitment_at.is_not(None)),
    )
    yield _Kept(time=DestinationRow.probe_at, longest_s=waits.probe_s)
    yield _Kept(time=CommitmentRequestRow.next_attempt_at, longest_s=waits.report_s)
    yield _Kept(
        time=PriorSearchRow.next_attempt_at,
        of=(PriorSearchRow.state == SearchState.PENDING,),
        longest_s=waits.search_s,
    )
    yield _Kept(time=ReprocessStudyRow.again_at, longest_s=waits.reprocess_s)
    yield _Kept(time=ReprocessStudyRow.queued_at)
    yield _Kept(time=ReprocessRunRow.begun_at)
    yield _Kept(time=ProcessRow.seen_at, of=(ProcessRow.ended_at.is_(None),))
