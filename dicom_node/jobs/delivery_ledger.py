"""The couriers' side of the ledger: what goes where, and what became of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path

from sqlalchemy import ColumnElement, Select, exists, func, or_, select
from sqlalchemy.orm import Session, aliased

from dicom_node.errors import LostLeaseError, UnknownEntryError
from dicom_node.jobs.database import Database
from dicom_node.jobs.reprocess_lane import nobody_waits_for
from dicom_node.jobs.results_store import note_delivery, revive, settle_jobs
from dicom_node.jobs.state import DeliveryState, move_delivery
from dicom_node.jobs.tables import DeliveryRow, ObjectRow, ResultSetRow, SeriesRow
from dicom_node.jobs.tally import Tally, count
from dicom_node.jobs.timeline import EventKind
from dicom_node.jobs.traces import association_of_results


class Failure(StrEnum):
    """How far a delivery got that was not accepted."""

    UNREACHED = "unreached"  #: there was no association
    BROKEN_OFF = "broken_off"  #: the association ended early, or the destination is full
    REFUSED = "refused"  #: the destination took part and refused this object


@dataclass(frozen=True, slots=True, kw_only=True)
class ParcelItem:
    """One object in a courier's hand.

    Attributes
    ----------
    delivery_id : int
        Row in the ledger.
    token : int
        Rises with every claim: an older one can change nothing any more.
    attempts : int
        Which attempt this is, counted from 1.
    refusals : int
        How often the destination took part and refused the object.
    kind, sop_class_uid, sop_instance_uid, transfer_syntax_uid : str
        What it is.
    path : Path
        Relative to the outbox.
    """

    delivery_id: int
    token: int
    attempts: int
    refusals: int
    kind: str
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    path: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """What one courier takes to one destination in one association.

    Attributes
    ----------
    destination : str
        Name of the peer.
    courier : str
        Who holds the claim.
    result_set_id : int
        Results that belong together.
    items : tuple of ParcelItem
        In the order they are sent.
    association_id : str
        By which the images came; ties log lines together.
    """

    destination: str
    courier: str
    result_set_id: int
    items: tuple[ParcelItem, ...]
    association_id: str = ""


class DeliveryLedger:
    """One row per object and destination, claimed per destination.

    Nothing is sent twice side by side. Result sets of one series go out in the order they were
    made: what supersedes never overtakes. Those of urgent series go before all others, those of
    a re-read of an archive after all others.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def claim(
        self, destination: str, courier: str, *, now: datetime, lease_s: float, parallel: int = 1
    ) -> Parcel | None:
        """Return the next due objects of one result set, now this courier's, or None.

        Of one destination `parallel` result sets are in hand at the same time, never two of a
        series.
        """
        with self._database.write() as session:
            in_hand = session.scalar(
                select(func.count(func.distinct(DeliveryRow.result_set_id))).where(
                    *_in_hand(destination, now)
                )
            )
            if (in_hand or 0) >= parallel:
                return None
            _release_lost(session, destination, now)
            result_set_id = session.scalar(_next_due(destination, now))
            if result_set_id is None:
                return None
            rows = session.execute(
                select(DeliveryRow, ObjectRow)
                .join(ObjectRow, ObjectRow.object_id == DeliveryRow.object_id)
                .where(
                    DeliveryRow.result_set_id == result_set_id,
                    DeliveryRow.destination == destination,
                    DeliveryRow.state == DeliveryState.PENDING,
                    DeliveryRow.next_attempt_at <= now,
                )
                .order_by(ObjectRow.send_order)
            ).all()
            for delivery, _ in rows:
                delivery.state = move_delivery(delivery.state, DeliveryState.SENDING)
                delivery.claimed_by = courier
                delivery.token += 1
                delivery.attempts += 1
                delivery.lease_until = now + timedelta(seconds=lease_s)
            return Parcel(
                destination=destination,
                courier=courier,
                result_set_id=result_set_id,
                items=tuple(_item(delivery, stored) for delivery, stored in rows),
                association_id=association_of_results(session, result_set_id),
            )

    def renew(self, parcel: Parcel, *, now: datetime, lease_s: float) -> None:
        """Extend the lease of what is still in hand. Raises LostLeaseError if nothing is."""
        with self._database.write() as session:
            held = [
                row
                for item in parcel.items
                if (row := session.get(DeliveryRow, item.delivery_id)) is not None
                and _is_held(row, item)
            ]
            if not held:
                raise LostLeaseError(
                    f"{parcel.courier} holds nothing for {parcel.destination} any more"
                )
            for row in held:
                row.lease_until = now + timedelta(seconds=lease_s)

    def accept(
        self, item: ParcelItem, message: str, *, now: datetime, wants_commitment: bool = False
    ) -> None:
        """Note that the destination has the object, and whether it shall commit itself to it.

        Raises
        ------
        LostLeaseError
            If the claim is no longer the courier's.
        """
        with self._database.write() as session:
            row = _held(session, item)
            row.state = move_delivery(row.state, DeliveryState.ACCEPTED)
            row.accepted_at = now
            row.unreached = False
            row.negotiation = ""
            row.commitment_at = now if wants_commitment else None
            row.commitment_asks = 0
            _end_attempt(session, row, EventKind.ACCEPTED, message, now=now)
            _count_attempt(session, row, "accepted")

    def postpone(
        self,
        item: ParcelItem,
        reason: str,
        *,
        failure: Failure,
        again_at: datetime | None,
        now: datetime,
        negotiation: str = "",
    ) -> None:
        """Note that an attempt failed; it gives up if `again_at` is None.

        Parameters
        ----------
        item
            What was not delivered.
        reason
            Why, in words.
        failure
            How far it got.
        again_at
            When to try again.
        now
            The present.
        negotiation
            What the destination answered to each presentation context, if that is why.

        Raises
        ------
        LostLeaseError
            If the claim is no longer the courier's.
        """
        with self._database.write() as session:
            row = _held(session, item)
            row.refusals += failure is Failure.REFUSED
            row.unreached = failure is Failure.UNREACHED
            row.negotiation = negotiation
            if again_at is None:
                row.state = move_delivery(row.state, DeliveryState.DEAD)
            else:
                row.state = move_delivery(row.state, DeliveryState.PENDING)
                row.next_attempt_at = again_at
            _end_attempt(session, row, EventKind.NOT_ACCEPTED, reason, now=now)
            _count_attempt(session, row, failure.value)

    def retry(self, destination: str, now: datetime) -> int:
        """Try again at once what waits for a destination or gave up; return how many objects.

        An operator's decision, usually after the peer was repaired.

        Raises
        ------
        UnknownEntryError
            If nothing was ever meant for this destination.
        """
        with self._database.write() as session:
            rows = session.scalars(
                select(DeliveryRow).where(DeliveryRow.destination == destination)
            ).all()
            if not rows:
                raise UnknownEntryError(f"Nothing was ever meant for destination {destination}")
            waiting = [row for row in rows if row.state is DeliveryState.PENDING]
            dead = [row for row in rows if row.state is DeliveryState.DEAD]
            for row in waiting:
                row.next_attempt_at = now
            for result_set_id in {row.result_set_id for row in dead}:
                revive(session, result_set_id, now, destination=destination)
            return len(waiting) + len(dead)

    def release(self, courier: str, now: datetime) -> int:
        """Take from a courier that is known to be dead what it held; return how many objects."""
        with self._database.write() as session:
            held = session.scalars(
                select(DeliveryRow).where(
                    DeliveryRow.state == DeliveryState.SENDING, DeliveryRow.claimed_by == courier
                )
            ).all()
            _free(session, held, now)
            return len(held)

    def sweep(self, now: datetime) -> int:
        """Take objects from couriers whose lease ran out; return how many."""
        with self._database.write() as session:
            return _release_lost(session, None, now)


def _in_hand(destination: str, now: datetime) -> tuple[ColumnElement[bool], ...]:
    return (
        DeliveryRow.destination == destination,
        DeliveryRow.state == DeliveryState.SENDING,
        DeliveryRow.lease_until >= now,
    )


def _release_lost(session: Session, destination: str | None, now: datetime) -> int:
    lost = select(DeliveryRow).where(
        DeliveryRow.state == DeliveryState.SENDING, DeliveryRow.lease_until < now
    )
    if destination is not None:
        lost = lost.where(DeliveryRow.destination == destination)
    rows = session.scalars(lost).all()
    _free(session, rows, now)
    return len(rows)


def _free(session: Session, rows: Sequence[DeliveryRow], now: datetime) -> None:
    for row in rows:
        row.state = move_delivery(row.state, DeliveryState.PENDING)
        row.reason = f"{row.claimed_by} stopped without a word"
        row.next_attempt_at = now
        row.lease_until = None
        count(session, Tally.LOST_LEASES, of="delivery")
    session.flush()


def _next_due(destination: str, now: datetime) -> Select[int]:
    other, other_set = aliased(DeliveryRow), aliased(ResultSetRow)
    overtakes = exists().where(
        other.result_set_id == other_set.result_set_id,
        other_set.series_uid == ResultSetRow.series_uid,
        other.destination == destination,
        or_(
            other.state == DeliveryState.SENDING,
            (other.state == DeliveryState.PENDING)
            & (other.result_set_id < DeliveryRow.result_set_id),
        ),
    )
    return (
        select(DeliveryRow.result_set_id)
        .join(ResultSetRow, ResultSetRow.result_set_id == DeliveryRow.result_set_id)
        .join(SeriesRow, SeriesRow.series_uid == ResultSetRow.series_uid)
        .where(
            DeliveryRow.destination == destination,
            DeliveryRow.state == DeliveryState.PENDING,
            DeliveryRow.next_attempt_at <= now,
            ~overtakes,
        )
        .order_by(
            (SeriesRow.urgency != "").desc(),
            nobody_waits_for(DeliveryRow.result_set_id),
            DeliveryRow.result_set_id,
        )
        .limit(1)
    )


def _item(row: DeliveryRow, stored: ObjectRow) -> ParcelItem:
    return ParcelItem(
        delivery_id=row.delivery_id,
        token=row.token,
        attempts=row.attempts,
        refusals=row.refusals,
        kind=stored.kind,
        sop_class_uid=stored.sop_class_uid,
        sop_instance_uid=stored.sop_instance_uid,
        transfer_syntax_uid=stored.transfer_syntax_uid,
        path=Path(stored.path),
    )


def _is_held(row: DeliveryRow, item: ParcelItem) -> bool:
    return row.state is DeliveryState.SENDING and row.token == item.token


def _held(session: Session, item: ParcelItem) -> DeliveryRow:
    row = session.get(DeliveryRow, item.delivery_id)
    if row is None or not _is_held(row, item):
        raise LostLeaseError(f"Delivery {item.delivery_id} is no longer in this courier's hand")
    return row


def _count_attempt(session: Session, row: DeliveryRow, outcome: str) -> None:
    count(session, Tally.DELIVERY_ATTEMPTS, destination=row.destination, outcome=outcome)


def _end_attempt(
    session: Session,
    row: DeliveryRow,
    kind: EventKind,
    text: str,
    *,
    now: datetime,
) -> None:
    row.reason = text
    row.lease_until = None
    note_delivery(session, row, kind, text, now)
    settle_jobs(session, row.result_set_id, now)
