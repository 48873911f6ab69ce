"""What became of a study of a re-read, read from its series and their analyses."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from dicom_node.jobs.reprocess_state import StudyState
from dicom_node.jobs.reprocess_tables import ReprocessSeriesRow, ReprocessStudyRow
from dicom_node.jobs.state import JobKind, JobState, SeriesState
from dicom_node.jobs.tables import JobRow, SeriesRow

_ON_THE_WAY = (SeriesState.RECEIVING, SeriesState.COMPLETE)
_IN_WORK = (JobState.QUEUED, JobState.ANALYZING)

NO_IMAGE = "no image came; may the peer call the node, and does it know its host and port?"


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyVerdict:
    """How a study ended, why, and by which job."""

    state: StudyState
    reason: str = ""
    job_id: int | None = None


def verdict_of(
    session: Session, entry: ReprocessStudyRow, now: datetime, *, patience_s: float
) -> StudyVerdict | None:
    """Return what became of a study; None while something is still to happen.

    Parameters
    ----------
    session
        Of the ledger.
    entry
        The study, whose images were asked for.
    now
        The present.
    patience_s
        So long it is waited for the first image of a series.
    """
    asked = set(
        session.scalars(
            select(ReprocessSeriesRow.series_uid).where(
                ReprocessSeriesRow.entry_id == entry.entry_id
            )
        )
    )
    series = session.scalars(select(SeriesRow).where(SeriesRow.series_uid.in_(asked))).all()
    waited_s = (now - (entry.queued_at or now)).total_seconds()
    if len(series) < len(asked) and waited_s < patience_s:
        return None
    if any(one.state in _ON_THE_WAY for one in series):
        return None
    jobs = [job for one in series if (job := _latest(session, one)) is not None]
    if any(job.state in _IN_WORK for job in jobs):
        return None
    if not series:
        return StudyVerdict(state=StudyState.FAILED, reason=NO_IMAGE)
    return _of_jobs(jobs) or _of_series(series)


def _latest(session: Session, series: SeriesRow) -> JobRow | None:
    if series.state is not SeriesState.CHOSEN:
        return None
    return session.scalar(
        select(JobRow)
        .where(JobRow.series_uid == series.series_uid, JobRow.kind == JobKind.ANALYSIS)
        .order_by(JobRow.job_id.desc())
        .limit(1)
    )


def _of_jobs(jobs: Sequence[JobRow]) -> StudyVerdict | None:
    """Return the best that became of the analyses: one opinion is enough."""
    for job in jobs:
        # A rejection may have a leaflet as its result; a failed delivery unsays no opinion.
        if job.result_set_id is not None and job.state is not JobState.REJECTED:
            return StudyVerdict(
                state=StudyState.ANALYSED, reason=job.reason or "", job_id=job.job_id
            )
    for state, verdict in (
        (JobState.FAILED, StudyState.FAILED),
        (JobState.REJECTED, StudyState.NOT_ELIGIBLE),
        (JobState.WITHDRAWN, StudyState.FAILED),
    ):
        for job in jobs:
            if job.state is state:
                return StudyVerdict(state=verdict, reason=job.reason or "", job_id=job.job_id)
    return None


def _of_series(series: Sequence[SeriesRow]) -> StudyVerdict:
    reasons = dict.fromkeys(one.reason for one in series if one.reason)
    return StudyVerdict(state=StudyState.NOT_ELIGIBLE, reason="; ".join(reasons))
