"""Re-reads of archives in the ledger: what was asked for, and how far each is."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import exists, func, select
from sqlalchemy.orm import Session

from dicom_node.errors import IllegalTransitionError, UnknownEntryError
from dicom_node.jobs.database import Database
from dicom_node.jobs.reprocess_lane import (
    REPROCESS_PRIORITY,
    forget_unseen,
    is_asked_for,
    withdraw,
)
from dicom_node.jobs.reprocess_state import (
    UNDER_WAY,
    ReprocessRequest,
    RunState,
    RunStatus,
    move_run,
)
from dicom_node.jobs.reprocess_studies import ReprocessStudies, list_in
from dicom_node.jobs.reprocess_tables import (
    ReprocessJobRow,
    ReprocessRunRow,
    ReprocessSeriesRow,
    ReprocessStudyRow,
)
from dicom_node.jobs.state import JobKind, JobState, SeriesState
from dicom_node.jobs.tables import JobRow, ResultSetRow, SeriesRow

#: The rate of a run is that of the studies that ended so lately.
RECENT: Final = timedelta(minutes=30)

#: A live series without an image for so long is not waited for.
_STILL_ARRIVING: Final = timedelta(seconds=120)


class ReprocessLedger:
    """Remembers runs; one at most is under way.

    Every method raises LedgerUnavailableError if the database refuses.

    Attributes
    ----------
    studies : ReprocessStudies
        Of the runs.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self.studies = ReprocessStudies(database)

    def begin(
        self,
        request: ReprocessRequest,
        *,
        studies: Sequence[str] = (),
        by: str,
        now: datetime,
    ) -> int:
        """Note a new run with the studies that are known already; return its number.

        Raises
        ------
        IllegalTransitionError
            If another one is under way.
        """
        with self._database.write() as session:
            _check_alone(session, None)
            run = ReprocessRunRow(
                state=RunState.RUNNING,
                request=request.as_text(),
                most_analysing=request.most_analysing,
                created_at=now,
                created_by=by,
                is_listed=bool(studies),
                units=request.days,
            )
            session.add(run)
            session.flush()
            list_in(session, run.run_id, studies, now)
            return run.run_id

    def runs(self, now: datetime) -> tuple[RunStatus, ...]:
        """Return every run, the latest first."""
        with self._database.read() as session:
            rows = session.scalars(
                select(ReprocessRunRow).order_by(ReprocessRunRow.run_id.desc())
            ).all()
            return tuple(_counted(session, row, now) for row in rows)

    def run(self, run_id: int, now: datetime) -> RunStatus:
        """Return one run. Raises UnknownEntryError."""
        with self._database.read() as session:
            return _counted(session, _run(session, run_id), now)

    def under_way(self) -> RunStatus | None:
        """Return the run that works or rests, its studies not counted; None if there is none."""
        with self._database.read() as session:
            row = session.scalar(
                select(ReprocessRunRow).where(ReprocessRunRow.state.in_(UNDER_WAY)).limit(1)
            )
            return None if row is None else _status(row)

    def move(self, run_id: int, to: RunState, now: datetime) -> None:
        """Pause, resume, stop, rest or end a run.

        What waits of a run that is stopped is withdrawn; what a worker has in hand is finished.

        Raises
        ------
        UnknownEntryError
            If there is no such run.
        IllegalTransitionError
            If it cannot become that, or another run is under way.
        """
        with self._database.write() as session:
            run = _run(session, run_id)
            if to in UNDER_WAY:
                _check_alone(session, run_id)
            run.state = move_run(run.state, to)
            run.note = ""
            if to in {RunState.STOPPED, RunState.FINISHED}:
                run.finished_at = now
            if to is RunState.STOPPED:
                _withdraw(session, run_id, now)

    def note(self, run_id: int, words: str) -> None:
        """Say what a run waits for; nothing if it works."""
        with self._database.write() as session:
            _run(session, run_id).note = words

    def list_studies(
        self,
        run_id: int,
        studies: Iterable[str],
        *,
        cursor: str,
        units_done: int,
        is_listed: bool,
        now: datetime,
    ) -> None:
        """Add studies to a run and note how far the listing is, in one transaction."""
        with self._database.write() as session:
            run = _run(session, run_id)
            run.cursor, run.units_done, run.is_listed = cursor, units_done, is_listed
            list_in(session, run_id, studies, now)

    def note_units(self, run_id: int, units: int) -> None:
        """Note how many folders there are."""
        with self._database.write() as session:
            _run(session, run_id).units = units

    def live_work(self, now: datetime) -> bool:
        """Return whether images arrive, or wait for a worker, that somebody waits for."""
        arriving = exists().where(
            SeriesRow.state.in_((SeriesState.RECEIVING, SeriesState.COMPLETE)),
            SeriesRow.last_received_at > now - _STILL_ARRIVING,
            ~is_asked_for(SeriesRow.series_uid),
        )
        waiting = exists().where(
            JobRow.state == JobState.QUEUED,
            JobRow.priority > REPROCESS_PRIORITY,
            JobRow.available_at <= now,
        )
        with self._database.read() as session:
            return bool(session.scalar(select(arriving | waiting)))

    def was_seen(self, study_uid: str, model: str) -> bool:
        """Return whether a study has results of models whose digest begins so."""
        seen = exists().where(
            JobRow.study_uid == study_uid,
            JobRow.kind == JobKind.ANALYSIS,
            ResultSetRow.result_set_id == JobRow.result_set_id,
            ResultSetRow.model_digest.startswith(model, autoescape=True),
        )
        with self._database.read() as session:
            return bool(session.scalar(select(seen)))


def _run(session: Session, run_id: int) -> ReprocessRunRow:
    run = session.get(ReprocessRunRow, run_id)
    if run is None:
        raise UnknownEntryError(f"there is no run {run_id}")
    return run


def _check_alone(session: Session, run_id: int | None) -> None:
    other = select(ReprocessRunRow.run_id).where(ReprocessRunRow.state.in_(UNDER_WAY))
    if run_id is not None:
        other = other.where(ReprocessRunRow.run_id != run_id)
    found = session.scalar(other.limit(1))
    if found is not None:
        raise IllegalTransitionError(f"run {found} is under way; pause or stop it first")


def _withdraw(session: Session, run_id: int, now: datetime) -> None:
    """Take back the jobs of a run that no worker has begun, and wait for no series any more."""
    waiting = session.scalars(
        select(JobRow)
        .join(ReprocessJobRow, ReprocessJobRow.job_id == JobRow.job_id)
        .where(
            ReprocessJobRow.run_id == run_id,
            JobRow.state == JobState.QUEUED,
            JobRow.priority <= REPROCESS_PRIORITY,
        )
    ).all()
    for job in waiting:
        withdraw(session, job, run_id, now)
    forget_unseen(session, ReprocessSeriesRow.run_id == run_id)


def _status(run: ReprocessRunRow) -> RunStatus:
    return RunStatus(
        run_id=run.run_id,
        state=run.state,
        note=run.note,
        request=ReprocessRequest.of_text(run.request),
        created_at=run.created_at,
        created_by=run.created_by,
        finished_at=run.finished_at,
        begun_at=run.begun_at,
        is_listed=run.is_listed,
        cursor=run.cursor,
        units=run.units,
        units_done=run.units_done,
    )


def _counted(session: Session, run: ReprocessRunRow, now: datetime) -> RunStatus:
    studies = session.execute(
        select(ReprocessStudyRow.state, func.count())
        .where(ReprocessStudyRow.run_id == run.run_id)
        .group_by(ReprocessStudyRow.state)
    ).all()
    ended = session.execute(
        select(
            func.count(),
            func.min(ReprocessStudyRow.finished_at, type_=ReprocessStudyRow.finished_at.type),
        ).where(
            ReprocessStudyRow.run_id == run.run_id, ReprocessStudyRow.finished_at >= now - RECENT
        )
    ).one()
    return replace(
        _status(run), studies=dict(studies), recent_ends=ended[0], first_end_at=ended[1]
    )
