"""How much waits in the ledger, where, and for how long."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from dicom_node.jobs.database import Database
from dicom_node.jobs.reprocess_lane import REPROCESS_PRIORITY, is_of_a_run
from dicom_node.jobs.state import DeliveryState, JobKind, JobState, SeriesState
from dicom_node.jobs.tables import DeliveryRow, JobRow, ResultSetRow, SeriesRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Depth:
    """How many rows of the ledger are in which state at one moment.

    Attributes
    ----------
    series : mapping
        By state.
    jobs : mapping
        By kind and state.
    deliveries : mapping
        By destination and state.
    oldest_queued_s : float
        How long the oldest job that somebody waits for has waited; 0 if there is none.
    last_image_at : mapping
        When the last image came, by calling AE title.
    urgent : mapping
        What urgent studies wait for: how many series for their images or their study, how many
        jobs for a worker, how many objects for a destination.
    """

    series: Mapping[SeriesState, int]
    jobs: Mapping[tuple[JobKind, JobState], int]
    deliveries: Mapping[tuple[str, DeliveryState], int]
    oldest_queued_s: float
    last_image_at: Mapping[str, datetime]
    urgent: Mapping[str, int] = field(default_factory=dict)


def failed_analyses(database: Database, since: datetime) -> int:
    """Return how many analyses gave up since then and were not tried again.

    Those that a re-read of an archive caused are told by the run.
    """
    with database.read() as session:
        return (
            session.scalar(
                select(func.count()).where(
                    JobRow.kind == JobKind.ANALYSIS,
                    JobRow.state == JobState.FAILED,
                    JobRow.finished_at >= since,
                    ~is_of_a_run(JobRow.job_id),
                )
            )
            or 0
        )


def depth(database: Database, now: datetime) -> Depth:
    """Return how much waits. Raises LedgerUnavailableError."""
    with database.read() as session:
        series = session.execute(
            select(SeriesRow.state, func.count()).group_by(SeriesRow.state)
        ).all()
        jobs = session.execute(
            select(JobRow.kind, JobRow.state, func.count()).group_by(JobRow.kind, JobRow.state)
        ).all()
        deliveries = session.execute(
            select(DeliveryRow.destination, DeliveryRow.state, func.count()).group_by(
                DeliveryRow.destination, DeliveryRow.state
            )
        ).all()
        oldest = session.scalar(
            select(func.min(JobRow.available_at, type_=JobRow.available_at.type)).where(
                JobRow.state == JobState.QUEUED, JobRow.priority > REPROCESS_PRIORITY
            )
        )
        last = session.execute(
            select(
                SeriesRow.calling_ae_title,
                func.max(SeriesRow.last_received_at, type_=SeriesRow.last_received_at.type),
            ).group_by(SeriesRow.calling_ae_title)
        ).all()
        urgent = _urgent(session)
    waited_s = 0.0 if oldest is None else max(0.0, (now - oldest).total_seconds())
    return Depth(
        series=dict(series),
        jobs={(kind, state): number for kind, state, number in jobs},
        deliveries={(name, state): number for name, state, number in deliveries},
        oldest_queued_s=waited_s,
        last_image_at=dict(last),
        urgent=urgent,
    )


def _urgent(session: Session) -> dict[str, int]:
    """Return how much of urgent studies waits."""
    urgent = SeriesRow.urgency != ""
    waiting = {
        "series": select(func.count())
        .select_from(SeriesRow)
        .where(urgent, SeriesRow.state.in_((SeriesState.RECEIVING, SeriesState.COMPLETE))),
        "jobs": select(func.count())
        .select_from(JobRow)
        .join(SeriesRow, SeriesRow.series_uid == JobRow.series_uid)
        .where(urgent, JobRow.state == JobState.QUEUED, JobRow.kind != JobKind.SHADOW),
        "deliveries": select(func.count())
        .select_from(DeliveryRow)
        .join(ResultSetRow, ResultSetRow.result_set_id == DeliveryRow.result_set_id)
        .join(SeriesRow, SeriesRow.series_uid == ResultSetRow.series_uid)
        .where(urgent, DeliveryRow.state == DeliveryState.PENDING),
    }
    return {what: session.scalar(query) or 0 for what, query in waiting.items()}
