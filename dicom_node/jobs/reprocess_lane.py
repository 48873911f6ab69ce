"""The lowest lane of the ledger: what a re-read causes goes before nothing that is waited for."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import ColumnElement, exists, func, or_, select, update
from sqlalchemy.orm import InstrumentedAttribute, Session, aliased

from dicom_node.jobs.purged_images import IMAGES_PURGED
from dicom_node.jobs.reprocess_state import ReprocessRequest, RunState, StudyState
from dicom_node.jobs.reprocess_tables import (
    ReprocessJobRow,
    ReprocessRunRow,
    ReprocessSeriesRow,
    ReprocessStudyRow,
)
from dicom_node.jobs.state import JobKind, JobState, move_job
from dicom_node.jobs.tables import DeliveryRow, JobInstanceRow, JobRow, ObjectRow, SeriesRow
from dicom_node.jobs.timeline import EventKind, record

#: Below comparisons and shadows.
REPROCESS_PRIORITY: Final = -30

#: A worker has it, or is about to.
_AHEAD: Final = (JobState.QUEUED, JobState.ANALYZING)


def open_run(session: Session, series_uid: str) -> int | None:
    """Return the run that asked for a series and still waits for it; None if it is a live one."""
    return session.scalar(
        select(ReprocessSeriesRow.run_id)
        .where(ReprocessSeriesRow.series_uid == series_uid, ReprocessSeriesRow.is_open)
        .order_by(ReprocessSeriesRow.run_id.desc())
        .limit(1)
    )


def is_asked_for(series_uid: InstrumentedAttribute[str]) -> ColumnElement[bool]:
    """Return the condition that a run asked for a series and still waits for it."""
    return exists().where(ReprocessSeriesRow.series_uid == series_uid, ReprocessSeriesRow.is_open)


def is_brought(session: Session, series_uid: str) -> bool:
    """Return whether a run has begun to have a series brought and has not got all of it.

    One that was broken off counts, too: it is begun again, and what is here may be half a head.
    """
    return bool(
        session.scalar(
            select(
                exists().where(
                    ReprocessSeriesRow.series_uid == series_uid,
                    ReprocessSeriesRow.is_open,
                    ReprocessStudyRow.entry_id == ReprocessSeriesRow.entry_id,
                    ReprocessStudyRow.state.in_((StudyState.LISTED, StudyState.FETCHING)),
                )
            )
        )
    )


def is_of_a_run(job_id: InstrumentedAttribute[int]) -> ColumnElement[bool]:
    """Return the condition that a job was caused by a run."""
    return exists().where(ReprocessJobRow.job_id == job_id)


def enter(session: Session, job: JobRow, series: SeriesRow, now: datetime) -> None:
    """Put a job into the lowest lane if a run asked for its series; urgent it stays.

    What comes of a run after it was stopped is not analysed.
    """
    run_id = open_run(session, series.series_uid)
    if run_id is None:
        return
    if not series.urgency:
        job.priority = REPROCESS_PRIORITY
    session.add(ReprocessJobRow(job_id=job.job_id, run_id=run_id))
    if session.get_one(ReprocessRunRow, run_id).state is RunState.STOPPED:
        withdraw(session, job, run_id, now)
        session.execute(
            update(ReprocessSeriesRow)
            .where(ReprocessSeriesRow.series_uid == series.series_uid)
            .values(is_open=False)
        )


def withdraw(session: Session, job: JobRow, run_id: int, now: datetime) -> None:
    """Take back a job of a run that was stopped."""
    job.state = move_job(job.state, JobState.WITHDRAWN)
    job.reason, job.finished_at = f"run {run_id} was stopped", now
    record(session, now, job.series_uid, EventKind.WITHDRAWN, job.reason, job_id=job.job_id)


def forget_unseen(session: Session, condition: ColumnElement[bool]) -> None:
    """Ask no more for those of the series of which no image came: the next one may be live."""
    session.execute(
        update(ReprocessSeriesRow)
        .where(
            condition,
            ReprocessSeriesRow.is_open,
            ~exists().where(SeriesRow.series_uid == ReprocessSeriesRow.series_uid),
        )
        .values(is_open=False)
        .execution_options(synchronize_session=False)
    )


def may_begin() -> ColumnElement[bool]:
    """Return the condition that a job may begin, as far as runs are concerned.

    Only while its run works, and while the run does not have as many workers as it may.
    """
    busy, of_busy = aliased(JobRow), aliased(ReprocessJobRow)
    in_hand = (
        select(func.count())
        .select_from(of_busy)
        .join(busy, busy.job_id == of_busy.job_id)
        .where(busy.state == JobState.ANALYZING, of_busy.run_id == ReprocessRunRow.run_id)
        .correlate(ReprocessRunRow)
        .scalar_subquery()
    )
    works = exists().where(
        ReprocessJobRow.job_id == JobRow.job_id,
        ReprocessRunRow.run_id == ReprocessJobRow.run_id,
        ReprocessRunRow.state == RunState.RUNNING,
        in_hand < ReprocessRunRow.most_analysing,
    )
    return or_(JobRow.priority > REPROCESS_PRIORITY, works)


def request_of(session: Session, job: JobRow) -> ReprocessRequest | None:
    """Return what the run asked for that caused a job; None if none did."""
    text = session.scalar(
        select(ReprocessRunRow.request)
        .join(ReprocessJobRow, ReprocessJobRow.run_id == ReprocessRunRow.run_id)
        .where(ReprocessJobRow.job_id == job.job_id)
    )
    return None if text is None else ReprocessRequest.of_text(text)


def allowed(
    session: Session, job: JobRow, destinations: Sequence[str]
) -> tuple[Sequence[str], bool]:
    """Return where of these a job's results go, and whether anything follows it."""
    request = request_of(session, job)
    if request is None:
        return destinations, True
    return [name for name in destinations if name in request.deliver_to], False


def is_kept(result_set_id: InstrumentedAttribute[int] | int) -> ColumnElement[bool]:
    """Return the condition that results of a run are here that nobody was ever sent."""
    of_a_run = exists().where(
        JobRow.result_set_id == result_set_id, JobRow.job_id == ReprocessJobRow.job_id
    )
    sent = exists().where(DeliveryRow.result_set_id == result_set_id)
    return of_a_run & ~sent


def nobody_waits_for(result_set_id: InstrumentedAttribute[int]) -> ColumnElement[bool]:
    """Return the condition that only runs caused these results."""
    jobs = JobRow.result_set_id == result_set_id
    return exists().where(jobs) & ~exists().where(jobs, ~is_of_a_run(JobRow.job_id))


def objects_to_send(session: Session, result_set_id: int) -> Sequence[int]:
    """Return the objects of a result set whose files are here."""
    return session.scalars(
        select(ObjectRow.object_id).where(
            ObjectRow.result_set_id == result_set_id, ObjectRow.purged_at.is_(None)
        )
    ).all()


def analyse_again(session: Session, series: SeriesRow, *, run_id: int, now: datetime) -> bool:
    """Queue an analysis of images that are here; return whether there is one to wait for."""
    job = session.scalar(
        select(JobRow)
        .where(JobRow.series_uid == series.series_uid, JobRow.kind == JobKind.ANALYSIS)
        .order_by(JobRow.job_id.desc())
        .limit(1)
    )
    if job is None:
        return False
    if job.state in _AHEAD:
        return True
    if session.scalar(select(JobRow.job_id).where(JobRow.job_id == job.job_id, IMAGES_PURGED)):
        return False
    again = copy_of(session, job, series, priority=REPROCESS_PRIORITY, now=now)
    session.add(ReprocessJobRow(job_id=again.job_id, run_id=run_id))
    words = f"by run {run_id}"
    record(session, now, series.series_uid, EventKind.RETRIED, words, job_id=again.job_id)
    return True


def copy_of(
    session: Session, job: JobRow, series: SeriesRow, *, priority: int, now: datetime
) -> JobRow:
    """Return a new job of the same images, queued."""
    again = JobRow(
        series_uid=series.series_uid,
        study_uid=series.study_uid,
        input_digest=job.input_digest,
        state=JobState.QUEUED,
        flags=series.flags,
        priority=priority,
        created_at=now,
        available_at=now,
    )
    session.add(again)
    session.flush()
    images = session.scalars(
        select(JobInstanceRow.instance_id).where(JobInstanceRow.job_id == job.job_id)
    ).all()
    session.add_all(JobInstanceRow(job_id=again.job_id, instance_id=image) for image in images)
    return again
