"""The operator's side of deliveries: what waits or gave up, and what shall become of it."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from dicom_node.errors import IllegalTransitionError, UnknownEntryError
from dicom_node.jobs.database import Database
from dicom_node.jobs.results_store import note_delivery, reopen_jobs, settle_jobs
from dicom_node.jobs.state import DeliveryState, move_delivery
from dicom_node.jobs.tables import DeliveryRow, JobRow, ObjectRow, ResultSetRow
from dicom_node.jobs.timeline import EventKind


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuedDelivery:
    """One object on its way to one destination, as an operator sees it.

    Attributes
    ----------
    delivery_id : int
        Its number.
    destination, kind, state, reason : str
        Where to, what, how it stands and why.
    attempts, refusals : int
        How often it was sent, and how often the destination refused it.
    next_attempt_at : datetime
        Not before; counts while it is pending.
    accepted_at, commitment_at : datetime or None
        When it was accepted, when its commitment is asked for (again).
    series_instance_uid, sop_instance_uid : str
        The series that was analysed, the object.
    job_id : int or None
        The job that made it.
    negotiation : str
        What the destination answered to each presentation context, if that was the reason.
    """

    delivery_id: int
    destination: str
    kind: str
    state: DeliveryState
    reason: str
    attempts: int
    refusals: int
    next_attempt_at: datetime
    accepted_at: datetime | None
    commitment_at: datetime | None
    series_instance_uid: str
    sop_instance_uid: str
    job_id: int | None
    negotiation: str


class DeliveryQueue:
    """Lists, cancels and retries single deliveries. Every method raises LedgerUnavailableError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def deliveries(
        self,
        *,
        states: Collection[DeliveryState] = (),
        destination: str | None = None,
        limit: int = 200,
    ) -> tuple[QueuedDelivery, ...]:
        """Return deliveries, the newest results first; no state means all of them."""
        query = _joined().order_by(DeliveryRow.result_set_id.desc(), ObjectRow.send_order)
        if states:
            query = query.where(DeliveryRow.state.in_(list(states)))
        if destination is not None:
            query = query.where(DeliveryRow.destination == destination)
        with self._database.read() as session:
            return tuple(
                _queued(session, row, stored, series_uid)
                for row, stored, series_uid in session.execute(query.limit(limit))
            )

    def delivery(self, delivery_id: int) -> QueuedDelivery:
        """Return one delivery. Raises UnknownEntryError."""
        with self._database.read() as session:
            row = session.execute(
                _joined().where(DeliveryRow.delivery_id == delivery_id)
            ).one_or_none()
            if row is None:
                raise UnknownEntryError(f"There is no delivery {delivery_id}")
            found, stored, series_uid = row
            return _queued(session, found, stored, series_uid)

    def cancel(self, delivery_ids: Sequence[int], now: datetime) -> int:
        """Give deliveries up for good, all of them or none; return how many.

        Raises
        ------
        UnknownEntryError
            If one does not exist.
        IllegalTransitionError
            If one is being sent, was accepted, or is cancelled already.
        """
        with self._database.write() as session:
            rows = [_row(session, delivery_id) for delivery_id in delivery_ids]
            for row in rows:
                _check(row, {DeliveryState.PENDING, DeliveryState.DEAD}, "cancelled")
                row.state = move_delivery(row.state, DeliveryState.CANCELLED)
                row.reason = "cancelled by an operator"
                note_delivery(session, row, EventKind.CANCELLED, row.destination, now)
            for result_set_id in {row.result_set_id for row in rows}:
                reopen_jobs(session, result_set_id, now)
                settle_jobs(session, result_set_id, now)
            return len(rows)

    def retry(self, delivery_ids: Sequence[int], now: datetime) -> int:
        """Send deliveries now, with all their attempts, all of them or none; return how many.

        Raises
        ------
        UnknownEntryError
            If one does not exist.
        IllegalTransitionError
            If one is being sent, was accepted or was cancelled.
        """
        may = {DeliveryState.PENDING, DeliveryState.DEAD}
        with self._database.write() as session:
            rows = [_row(session, delivery_id) for delivery_id in delivery_ids]
            for row in rows:
                _check(row, may, "sent again")
                if row.state is DeliveryState.DEAD:
                    row.state = move_delivery(row.state, DeliveryState.PENDING)
                row.attempts = row.refusals = 0
                row.next_attempt_at = now
            for result_set_id in {row.result_set_id for row in rows}:
                reopen_jobs(session, result_set_id, now)
            return len(rows)


def _joined() -> Select[DeliveryRow, ObjectRow, str]:
    return (
        select(DeliveryRow, ObjectRow, ResultSetRow.series_uid)
        .join(ObjectRow, ObjectRow.object_id == DeliveryRow.object_id)
        .join(ResultSetRow, ResultSetRow.result_set_id == DeliveryRow.result_set_id)
    )


def _queued(
    session: Session, row: DeliveryRow, stored: ObjectRow, series_uid: str
) -> QueuedDelivery:
    job_id = session.scalar(
        select(JobRow.job_id).where(JobRow.result_set_id == row.result_set_id).limit(1)
    )
    return QueuedDelivery(
        delivery_id=row.delivery_id,
        destination=row.destination,
        kind=stored.kind,
        state=row.state,
        reason=row.reason,
        attempts=row.attempts,
        refusals=row.refusals,
        next_attempt_at=row.next_attempt_at,
        accepted_at=row.accepted_at,
        commitment_at=row.commitment_at,
        series_instance_uid=series_uid,
        sop_instance_uid=stored.sop_instance_uid,
        job_id=job_id,
        negotiation=row.negotiation,
    )


def _row(session: Session, delivery_id: int) -> DeliveryRow:
    row = session.get(DeliveryRow, delivery_id)
    if row is None:
        raise UnknownEntryError(f"There is no delivery {delivery_id}")
    return row


def _check(row: DeliveryRow, may: Collection[DeliveryState], what: str) -> None:
    if row.state not in may:
        raise IllegalTransitionError(
            f"Delivery {row.delivery_id} is {row.state} and cannot be {what}"
        )
