"""The searches for earlier scans of a patient: what is due, what was asked, what became of it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import ColumnElement, Select, exists, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from dicom_node.errors import UnknownEntryError
from dicom_node.jobs.database import Database
from dicom_node.jobs.state import JobKind, JobState, SearchState, move_search
from dicom_node.jobs.tables import (
    InstanceRow,
    JobInstanceRow,
    JobRow,
    PriorSearchRow,
    PriorSeriesRow,
    SeriesRow,
)
from dicom_node.jobs.timeline import EventKind, record

if TYPE_CHECKING:
    from dicom_node.association.query import RemoteSeries

#: An analysis that may still come to results, or has: its images are here.
_USEFUL = (JobState.QUEUED, JobState.ANALYZING, JobState.DELIVERING, JobState.DELIVERED)


@dataclass(frozen=True, slots=True, kw_only=True)
class PriorSearch:
    """A search that is due.

    Attributes
    ----------
    search_id : int
        Row in the ledger.
    series_uid, study_uid : str
        The scan that priors are wanted for.
    acquired_at : datetime
        When it was taken.
    image : Path
        One of its images, relative to the spool: it says whom to ask for.
    attempts : int
        Which attempt this is, counted from 1.
    """

    search_id: int
    series_uid: str
    study_uid: str
    acquired_at: datetime
    image: Path
    attempts: int


class PriorLedger:
    """One row per study and peer; the office works on one search per peer at a time."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def begin(self, peer: str, *, now: datetime, again_at: datetime) -> PriorSearch | None:
        """Return the next due search at a peer, None if nothing is due.

        Should the office die, the search is tried again at `again_at`, and the attempt counts.
        Raises LedgerUnavailableError.
        """
        with self._database.write() as session:
            row = session.scalar(
                select(PriorSearchRow)
                .where(
                    PriorSearchRow.peer == peer,
                    PriorSearchRow.state == SearchState.PENDING,
                    PriorSearchRow.next_attempt_at <= now,
                )
                .order_by(PriorSearchRow.next_attempt_at, PriorSearchRow.search_id)
                .limit(1)
            )
            if row is None:
                return None
            row.attempts += 1
            row.next_attempt_at = again_at
            job = session.get_one(JobRow, row.job_id)
            return PriorSearch(
                search_id=row.search_id,
                series_uid=row.series_uid,
                study_uid=row.study_uid,
                acquired_at=datetime.fromisoformat(job.acquired_at or ""),
                image=Path(session.scalars(_first_image(row.job_id)).one()),
                attempts=row.attempts,
            )

    def known_series(self, search: PriorSearch, uids: Iterable[str]) -> frozenset[str]:
        """Return which of these series are here already.

        Those that this search asked for before do not count: it may have been broken off. Nor do
        those that were purged.
        """
        asked = select(PriorSeriesRow.series_uid).where(
            PriorSeriesRow.search_id == search.search_id
        )
        with self._database.read() as session:
            return frozenset(
                session.scalars(
                    select(SeriesRow.series_uid).where(
                        SeriesRow.series_uid.in_(list(uids)),
                        SeriesRow.series_uid.not_in(asked),
                        _has_images(SeriesRow.series_uid),
                    )
                )
            )

    def known_studies(self, search: PriorSearch, uids: Iterable[str]) -> frozenset[str]:
        """Return which of these studies the node has analysed, or is about to; see above."""
        asked = select(PriorSeriesRow.study_uid).where(
            PriorSeriesRow.search_id == search.search_id
        )
        with self._database.read() as session:
            return frozenset(
                session.scalars(
                    select(JobRow.study_uid).where(
                        JobRow.study_uid.in_(list(uids)),
                        JobRow.study_uid.not_in(asked),
                        JobRow.kind == JobKind.ANALYSIS,
                        JobRow.state.in_(_USEFUL),
                        _has_images(JobRow.series_uid),
                    )
                )
            )

    def note_asked(
        self, search: PriorSearch, series: "Sequence[RemoteSeries]", now: datetime
    ) -> None:
        """Remember which series are fetched, before they come: they start no search themselves."""
        with self._database.write() as session:
            for one in series:
                if session.get(PriorSeriesRow, one.series_instance_uid) is None:
                    session.add(
                        PriorSeriesRow(
                            series_uid=one.series_instance_uid,
                            study_uid=one.study_instance_uid,
                            search_id=search.search_id,
                            asked_at=now,
                        )
                    )

    def finish(self, search: PriorSearch, outcome: str, *, now: datetime) -> None:
        """End a search that was answered, whatever was found."""
        with self._database.write() as session:
            row = session.get_one(PriorSearchRow, search.search_id)
            row.state = move_search(row.state, SearchState.DONE)
            row.finished_at = now
            _tell(session, row, outcome, now)

    def postpone(
        self, search: PriorSearch, reason: str, *, again_at: datetime | None, now: datetime
    ) -> None:
        """Note that an attempt failed; the search gives up if `again_at` is None."""
        with self._database.write() as session:
            row = session.get_one(PriorSearchRow, search.search_id)
            if again_at is None:
                row.state = move_search(row.state, SearchState.DEAD)
                row.finished_at = now
            else:
                row.next_attempt_at = again_at
            _tell(session, row, reason, now)

    def retry(self, peer: str, now: datetime) -> int:
        """Try again at once what waits for a peer or gave up; return how many searches.

        Raises
        ------
        UnknownEntryError
            If nothing was ever searched at this peer.
        """
        with self._database.write() as session:
            if not session.scalar(select(exists().where(PriorSearchRow.peer == peer))):
                raise UnknownEntryError(f"Nothing was ever searched at {peer}")
            rows = session.scalars(
                select(PriorSearchRow).where(
                    PriorSearchRow.peer == peer, PriorSearchRow.state != SearchState.DONE
                )
            ).all()
            for row in rows:
                if row.state is SearchState.DEAD:
                    row.state = move_search(row.state, SearchState.PENDING)
                    row.attempts = 0
                    row.finished_at = None
                row.next_attempt_at = now
            return len(rows)


def _has_images(series_uid: InstrumentedAttribute[str]) -> ColumnElement[bool]:
    """Return whether images of a series are here that were not purged."""
    return exists().where(InstanceRow.series_uid == series_uid, InstanceRow.purged_at.is_(None))


def _first_image(job_id: int) -> Select[str]:
    return (
        select(InstanceRow.path)
        .join(JobInstanceRow)
        .where(JobInstanceRow.job_id == job_id)
        .order_by(InstanceRow.instance_id)
        .limit(1)
    )


def _tell(session: Session, row: PriorSearchRow, words: str, now: datetime) -> None:
    row.reason = words
    text = f"{row.peer}: {words}"
    record(session, now, row.series_uid, EventKind.PRIORS, text, job_id=row.job_id)
