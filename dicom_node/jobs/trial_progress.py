"""How far a trial of models is: its jobs, counted."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select

from dicom_node.jobs.database import Database
from dicom_node.jobs.state import JobKind, JobState
from dicom_node.jobs.tables import JobRow

_OPEN = frozenset({JobState.QUEUED, JobState.ANALYZING})


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialProgress:
    """Jobs of models on trial.

    Attributes
    ----------
    waiting, done, refused, failed : int
        Scans that they have not seen yet, have judged, cannot judge, or failed at.
    last_failure : str
        Why the latest of those failed; empty if none did.
    """

    waiting: int = 0
    done: int = 0
    refused: int = 0
    failed: int = 0
    last_failure: str = ""


def trial_progress(database: Database, *, since: datetime | None) -> TrialProgress:
    """Return how far the trial is that began at `since`; None counts every trial.

    Raises
    ------
    LedgerUnavailableError
        If the ledger cannot be read.
    """
    of_trial = [JobRow.kind == JobKind.SHADOW]
    if since is not None:
        of_trial.append(JobRow.created_at >= since)
    with database.read() as session:
        rows = session.execute(
            select(JobRow.state, func.count()).where(*of_trial).group_by(JobRow.state)
        )
        counts = {row[0]: int(row[1]) for row in rows}
        reason = session.scalar(
            select(JobRow.reason)
            .where(*of_trial, JobRow.state == JobState.FAILED)
            .order_by(JobRow.job_id.desc())
            .limit(1)
        )
    return TrialProgress(
        waiting=sum(counts.get(state, 0) for state in _OPEN),
        done=counts.get(JobState.DELIVERED, 0) + counts.get(JobState.DELIVERING, 0),
        refused=counts.get(JobState.REJECTED, 0),
        failed=counts.get(JobState.FAILED, 0),
        last_failure=reason or "",
    )
