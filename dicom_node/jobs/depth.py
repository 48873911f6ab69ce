"""How much waits in the ledger, where, and for how long."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select

from dicom_node.jobs.database import Database
from dicom_node.jobs.state import DeliveryState, JobKind, JobState, SeriesState
from dicom_node.jobs.tables import DeliveryRow, JobRow, SeriesRow


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
        How long the oldest job that may be claimed has waited; 0 if none does.
    last_image_at : mapping
        When the last image came, by calling AE title.
    """

    series: Mapping[SeriesState, int]
    jobs: Mapping[tuple[JobKind, JobState], int]
    deliveries: Mapping[tuple[str, DeliveryState], int]
    oldest_queued_s: float
    last_image_at: Mapping[str, datetime]


def failed_analyses(database: Database, since: datetime) -> int:
    """Return how many analyses gave up since then and were not tried again."""
    with database.read() as session:
        return (
            session.scalar(
                select(func.count()).where(
                    JobRow.kind == JobKind.ANALYSIS,
                    JobRow.state == JobState.FAILED,
                    JobRow.finished_at >= since,
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
                JobRow.state == JobState.QUEUED
            )
        )
        last = session.execute(
            select(
                SeriesRow.calling_ae_title,
                func.max(SeriesRow.last_received_at, type_=SeriesRow.last_received_at.type),
            ).group_by(SeriesRow.calling_ae_title)
        ).all()
    waited_s = 0.0 if oldest is None else max(0.0, (now - oldest).total_seconds())
    return Depth(
        series=dict(series),
        jobs={(kind, state): number for kind, state, number in jobs},
        deliveries={(name, state): number for name, state, number in deliveries},
        oldest_queued_s=waited_s,
        last_image_at=dict(last),
    )
