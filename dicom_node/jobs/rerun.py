"""An operator's wish that a study be analysed once more."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from dicom_node.errors import IllegalTransitionError, UnknownEntryError
from dicom_node.jobs.database import Database
from dicom_node.jobs.purged_images import IMAGES_PURGED
from dicom_node.jobs.reprocess_lane import copy_of
from dicom_node.jobs.results_store import revive
from dicom_node.jobs.state import JobKind, JobState, SeriesState, move_job
from dicom_node.jobs.tables import JobRow, SeriesRow
from dicom_node.jobs.timeline import EventKind, record
from dicom_node.jobs.urgent_lane import priority_of

_UNDER_WAY = frozenset({JobState.QUEUED, JobState.ANALYZING})


@dataclass(frozen=True, slots=True, kw_only=True)
class Rerun:
    """Queues what was analysed again, with the models and settings of today.

    Results of the same models, settings and images are the same result set: nothing is sent twice.
    Other results supersede the ones before.
    """

    database: Database

    def study(self, study_uid: str, *, by: str, now: datetime) -> int:
        """Analyse every chosen series of a study again; return how many are queued.

        Raises
        ------
        UnknownEntryError
            If the ledger knows no such study.
        IllegalTransitionError
            If no series of it was ever chosen, or all are waiting or being analysed.
        """
        with self.database.write() as session:
            series = session.scalars(
                select(SeriesRow).where(SeriesRow.study_uid == study_uid)
            ).all()
            if not series:
                raise UnknownEntryError(f"the ledger knows no study {study_uid!r}")
            queued = sum(_again(session, one, by=by, now=now) for one in series)
            if not queued:
                raise IllegalTransitionError(
                    "no series of this study can be analysed again: none was chosen, its images "
                    "were purged, or it is waiting or being analysed"
                )
            return queued


def _again(session: Session, series: SeriesRow, *, by: str, now: datetime) -> bool:
    """Queue one series; return whether there was anything to do."""
    job = session.scalar(
        select(JobRow)
        .where(JobRow.series_uid == series.series_uid, JobRow.kind == JobKind.ANALYSIS)
        .order_by(JobRow.job_id.desc())
        .limit(1)
    )
    if series.state is not SeriesState.CHOSEN or job is None or job.state in _UNDER_WAY:
        return False
    if session.scalar(select(JobRow.job_id).where(JobRow.job_id == job.job_id, IMAGES_PURGED)):
        return False
    if job.state is JobState.FAILED:
        if job.result_set_id is not None:
            revive(session, job.result_set_id, now)
            return True
        job.state = move_job(job.state, JobState.QUEUED)
        job.attempts, job.available_at, job.reason = 0, now, ""
        record(session, now, series.series_uid, EventKind.RETRIED, f"by {by}", job_id=job.job_id)
        return True
    again = copy_of(session, job, series, priority=priority_of(series), now=now)
    record(session, now, series.series_uid, EventKind.RETRIED, f"by {by}", job_id=again.job_id)
    return True
