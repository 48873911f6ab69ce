"""The studies of re-reads in the ledger: which comes next, what was asked for, how each ended."""

import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final

from sqlalchemy import exists, func, select, update
from sqlalchemy.orm import Session

from dicom_node.jobs.database import Database
from dicom_node.jobs.look_again import look_again
from dicom_node.jobs.reprocess_lane import analyse_again, forget_unseen
from dicom_node.jobs.reprocess_state import ENDS, IN_HAND, StudyEntry, StudyState
from dicom_node.jobs.reprocess_tables import (
    ReprocessJobRow,
    ReprocessPlaceRow,
    ReprocessRunRow,
    ReprocessSeriesRow,
    ReprocessStudyRow,
)
from dicom_node.jobs.reprocess_verdict import verdict_of
from dicom_node.jobs.state import SeriesState
from dicom_node.jobs.tables import JobRow, ResultSetRow, SeriesRow

if TYPE_CHECKING:
    from dicom_node.association.query import RemoteSeries

_BATCH: Final = 500
_DIGEST_SHOWN: Final = 12


class ReprocessStudies:
    """Moves the studies of a run along. Every method raises LedgerUnavailableError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def next_study(self, run_id: int, *, now: datetime, again_at: datetime) -> StudyEntry | None:
        """Return the next study that is due, now begun; None if none is.

        Should the office die, it is due again at `again_at`.
        """
        due = (
            select(ReprocessStudyRow)
            .where(
                ReprocessStudyRow.run_id == run_id,
                ReprocessStudyRow.state.in_((StudyState.LISTED, StudyState.FETCHING)),
                ReprocessStudyRow.again_at <= now,
            )
            .order_by(ReprocessStudyRow.again_at, ReprocessStudyRow.entry_id)
            .limit(1)
        )
        with self._database.write() as session:
            row = session.scalar(due)
            return None if row is None else _begin(row, now=now, again_at=again_at)

    def this_study(
        self, run_id: int, study_uid: str, *, now: datetime, again_at: datetime
    ) -> StudyEntry | None:
        """Begin with a study that was found in a folder; None if it is not due yet.

        Further images of a study that came to an end, or is waited for, begin it again.
        """
        with self._database.write() as session:
            list_in(session, run_id, [study_uid], now)
            row = session.scalars(
                select(ReprocessStudyRow).filter_by(run_id=run_id, study_uid=study_uid)
            ).one()
            waits = row.state in {StudyState.LISTED, StudyState.FETCHING} and row.again_at > now
            return None if waits else _begin(row, now=now, again_at=again_at)

    def free(self, run_id: int, now: datetime) -> int:
        """Let what was in hand when the office ended begin again at once; return how many."""
        with self._database.write() as session:
            rows = session.scalars(
                select(ReprocessStudyRow).where(
                    ReprocessStudyRow.run_id == run_id,
                    ReprocessStudyRow.state == StudyState.FETCHING,
                )
            ).all()
            for row in rows:
                row.again_at = now
            return len(rows)

    def ask_for(
        self,
        entry: StudyEntry,
        *,
        wanted: "Sequence[RemoteSeries]",
        here: "Sequence[RemoteSeries]",
        now: datetime,
    ) -> None:
        """Remember which series are fetched, before they come; analyse again what is here."""
        with self._database.write() as session:
            session.get_one(ReprocessRunRow, entry.run_id).begun_at = now
            for one in (*wanted, *here):
                known = session.get(ReprocessSeriesRow, (entry.run_id, one.series_instance_uid))
                if known is None:
                    session.add(
                        ReprocessSeriesRow(
                            run_id=entry.run_id,
                            series_uid=one.series_instance_uid,
                            entry_id=entry.entry_id,
                        )
                    )
                else:
                    known.is_open = True
            for one in here:
                series = session.get(SeriesRow, one.series_instance_uid)
                begun = _job_of_run(session, entry.run_id, one.series_instance_uid)
                if series is not None and series.state is SeriesState.CHOSEN and not begun:
                    analyse_again(session, series, run_id=entry.run_id, now=now)

    def queue(self, entry: StudyEntry, *, images: int, now: datetime) -> None:
        """Note that the images of a study came; from here on its analysis is waited for."""
        with self._database.write() as session:
            row = session.get_one(ReprocessStudyRow, entry.entry_id)
            row.state, row.reason, row.queued_at = StudyState.QUEUED, "", now
            row.images += images
            _look_again(session, row)

    def end(self, entry: StudyEntry, state: StudyState, reason: str, *, now: datetime) -> None:
        """End a study."""
        with self._database.write() as session:
            row = session.get_one(ReprocessStudyRow, entry.entry_id)
            _end(session, row, state, reason, now)

    def postpone(
        self, entry: StudyEntry, reason: str, *, again_at: datetime, counts: bool
    ) -> None:
        """Try a study again later; the attempt counts if it was the study's own fault."""
        with self._database.write() as session:
            row = session.get_one(ReprocessStudyRow, entry.entry_id)
            row.state, row.reason, row.again_at = StudyState.LISTED, reason, again_at
            row.attempts -= 0 if counts else 1
            forget_unseen(session, ReprocessSeriesRow.entry_id == entry.entry_id)

    def places_left(self, run_id: int, places: Sequence[str]) -> frozenset[str]:
        """Return the hashes of these folders that the run is not done with."""
        with self._database.read() as session:
            done = session.scalars(
                select(ReprocessPlaceRow.place_key).where(
                    ReprocessPlaceRow.run_id == run_id, ReprocessPlaceRow.place_key.in_(places)
                )
            )
            return frozenset(places) - frozenset(done)

    def leave_places(
        self, run_id: int, places: Collection[str], *, studies: Collection[str] = ()
    ) -> None:
        """Note that a run is done with folders, unless it is not with one of these studies."""
        open_one = exists().where(
            ReprocessStudyRow.run_id == run_id,
            ReprocessStudyRow.study_uid.in_(studies),
            ReprocessStudyRow.state.in_((StudyState.LISTED, StudyState.FETCHING)),
        )
        with self._database.write() as session:
            if session.scalar(select(open_one)):
                return
            for place in places:
                session.merge(ReprocessPlaceRow(run_id=run_id, place_key=place))
            session.get_one(ReprocessRunRow, run_id).units_done += len(places)

    def in_hand(self, run_id: int) -> int:
        """Return how many studies of a run are fetched or wait for their analysis."""
        number = select(func.count()).where(
            ReprocessStudyRow.run_id == run_id, ReprocessStudyRow.state.in_(IN_HAND)
        )
        with self._database.read() as session:
            return session.scalar(number) or 0

    def has_open(self, run_id: int, *, only_fetched: bool = False) -> bool:
        """Return whether a study is still to come to an end, or still to be fetched."""
        states = [state for state in StudyState if state not in ENDS]
        if only_fetched:
            states.remove(StudyState.QUEUED)
        condition = exists().where(
            ReprocessStudyRow.run_id == run_id, ReprocessStudyRow.state.in_(states)
        )
        with self._database.read() as session:
            return bool(session.scalar(select(condition)))

    def settle(self, run_id: int, now: datetime, *, patience_s: float) -> int:
        """End the studies whose analysis came to an end; return how many.

        Parameters
        ----------
        run_id
            Which run.
        now
            The present.
        patience_s
            So long it is waited for the first image of a series that was asked for.
        """
        with self._database.write() as session:
            rows = session.scalars(
                select(ReprocessStudyRow).where(
                    ReprocessStudyRow.run_id == run_id,
                    ReprocessStudyRow.state == StudyState.QUEUED,
                )
            ).all()
            ended = 0
            for row in rows:
                verdict = verdict_of(session, row, now, patience_s=patience_s)
                if verdict is not None:
                    row.job_id = verdict.job_id
                    _end(session, row, verdict.state, verdict.reason, now)
                    ended += 1
            return ended

    def entries(self, run_id: int) -> Iterator[StudyEntry]:
        """Yield every study of a run in the order they were listed."""
        last = 0
        while True:
            with self._database.read() as session:
                found = session.execute(
                    select(ReprocessStudyRow, JobRow, ResultSetRow.model_digest)
                    .outerjoin(JobRow, JobRow.job_id == ReprocessStudyRow.job_id)
                    .outerjoin(ResultSetRow, ResultSetRow.result_set_id == JobRow.result_set_id)
                    .where(ReprocessStudyRow.run_id == run_id, ReprocessStudyRow.entry_id > last)
                    .order_by(ReprocessStudyRow.entry_id)
                    .limit(_BATCH)
                ).all()
                batch = [_entry(row, job, digest or "") for row, job, digest in found]
            if not batch:
                return
            yield from batch
            last = batch[-1].entry_id


def list_in(session: Session, run_id: int, studies: Iterable[str], now: datetime) -> None:
    """Add to a run the studies that it does not have yet."""
    uids = list(dict.fromkeys(studies))
    for start in range(0, len(uids), _BATCH):
        batch = uids[start : start + _BATCH]
        known = set(
            session.scalars(
                select(ReprocessStudyRow.study_uid).where(
                    ReprocessStudyRow.run_id == run_id, ReprocessStudyRow.study_uid.in_(batch)
                )
            )
        )
        session.add_all(
            ReprocessStudyRow(run_id=run_id, study_uid=uid, state=StudyState.LISTED, again_at=now)
            for uid in batch
            if uid not in known
        )
        session.flush()


def _look_again(session: Session, row: ReprocessStudyRow) -> None:
    """Have the series of a study judged anew that waited for being brought."""
    asked = select(ReprocessSeriesRow.series_uid).where(
        ReprocessSeriesRow.entry_id == row.entry_id
    )
    look_again(session, SeriesRow.series_uid.in_(asked))


def _begin(row: ReprocessStudyRow, *, now: datetime, again_at: datetime) -> StudyEntry:
    row.state, row.again_at, row.finished_at = StudyState.FETCHING, again_at, None
    row.attempts += 1
    row.began_at = row.began_at or now
    return _entry(row, None, "")


def _end(
    session: Session, row: ReprocessStudyRow, state: StudyState, reason: str, now: datetime
) -> None:
    row.state, row.reason, row.finished_at = state, reason, now
    _look_again(session, row)
    session.execute(
        update(ReprocessSeriesRow)
        .where(ReprocessSeriesRow.entry_id == row.entry_id)
        .values(is_open=False)
    )


def _job_of_run(session: Session, run_id: int, series_uid: str) -> bool:
    """Return whether the run has had a series analysed, or is about to."""
    job = exists().where(
        ReprocessJobRow.run_id == run_id,
        JobRow.job_id == ReprocessJobRow.job_id,
        JobRow.series_uid == series_uid,
    )
    return bool(session.scalar(select(job)))


def _entry(row: ReprocessStudyRow, job: JobRow | None, digest: str) -> StudyEntry:
    record_of_job = json.loads(job.record) if job is not None and job.record else {}
    return StudyEntry(
        entry_id=row.entry_id,
        run_id=row.run_id,
        study_uid=row.study_uid,
        state=row.state,
        reason=row.reason,
        attempts=row.attempts,
        images=row.images,
        series_uid="" if job is None else job.series_uid,
        model=digest[:_DIGEST_SHOWN],
        outcome=str(record_of_job.get("status", "")),
        began_at=row.began_at,
        finished_at=row.finished_at,
    )
