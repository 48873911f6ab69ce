"""The node's own requests for storage commitment: what is asked of whom, and what was answered."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from dicom_node.association.commitment_terms import (
    CommitmentReport,
    CommitmentRequest,
    Reference,
    reason_words,
)
from dicom_node.errors import UnknownEntryError
from dicom_node.jobs.database import Database
from dicom_node.jobs.delivery_tables import CommitmentItemRow, CommitmentRow
from dicom_node.jobs.results_store import has_dead, note_delivery, reopen_jobs, settle_jobs
from dicom_node.jobs.retry import RetryPolicy, next_attempt
from dicom_node.jobs.state import DeliveryState, move_delivery
from dicom_node.jobs.tables import DeliveryRow, ObjectRow
from dicom_node.jobs.timeline import EventKind

#: Objects per request: an analysis makes ten, a backlog may be long.
_MOST_AT_ONCE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitmentRules:
    """How patiently a destination is asked.

    Attributes
    ----------
    answer_s : float
        Without a report after this long it is asked again.
    asks : int
        How often it is asked; then the delivery has failed.
    retry : RetryPolicy
        When it is asked again after it refused the request, and when an object is sent again that
        it could not commit.
    unreached_s : float
        When it is asked again after it could not be reached; that does not count.

    Raises
    ------
    ValueError
        If it would be asked never or without end of patience.
    """

    answer_s: float = 3600.0
    asks: int = 10
    retry: RetryPolicy
    unreached_s: float = 60.0

    def __post_init__(self) -> None:
        if self.asks < 1 or self.answer_s <= 0 or self.unreached_s <= 0:
            raise ValueError("asks, answer_s and unreached_s must be positive")


class CommitmentLedger:
    """Deliveries that were accepted and are not yet committed.

    A row `DeliveryRow.commitment_at` says when its destination is asked (again). Every request has
    a transaction UID of its own, and a report on any of them counts as long as the delivery waits.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def claim(
        self, destination: str, *, transaction_uid: str, rules: CommitmentRules, now: datetime
    ) -> CommitmentRequest | None:
        """Return what is due to be asked of a destination, or None.

        What was asked for too often has failed.
        """
        with self._database.write() as session:
            due = session.execute(
                select(DeliveryRow, ObjectRow)
                .join(ObjectRow, ObjectRow.object_id == DeliveryRow.object_id)
                .where(
                    DeliveryRow.destination == destination,
                    DeliveryRow.state == DeliveryState.ACCEPTED,
                    DeliveryRow.commitment_at <= now,
                )
                .order_by(DeliveryRow.delivery_id)
                .limit(_MOST_AT_ONCE)
            ).all()
            silent = [row for row, _ in due if row.commitment_asks >= rules.asks]
            for row in silent:
                _fail(session, row, f"no report after {rules.asks} requests", None, now)
            asked = [(row, stored) for row, stored in due if row not in silent]
            if not asked:
                return None
            session.add(
                CommitmentRow(
                    transaction_uid=transaction_uid, destination=destination, asked_at=now
                )
            )
            session.flush()
            for row, _ in asked:
                row.commitment_asks += 1
                row.commitment_at = now + timedelta(seconds=rules.answer_s)
                session.add(
                    CommitmentItemRow(transaction_uid=transaction_uid, delivery_id=row.delivery_id)
                )
            return CommitmentRequest(
                transaction_uid=transaction_uid,
                references=tuple(_reference(stored) for _, stored in asked),
            )

    def resume(
        self, destinations: Collection[str], *, rules: CommitmentRules, now: datetime
    ) -> int:
        """Let everything unanswered be asked again soon, uncounted; return how many deliveries.

        For the start of the office: the one before it may have died between writing a request
        down and making it. An archive that has the request already only answers twice. What waits
        for a destination that no longer is to commit itself, is at its end.
        """
        soon = now + timedelta(seconds=rules.unreached_s)
        with self._database.write() as session:
            waiting = session.scalars(
                select(DeliveryRow).where(
                    DeliveryRow.state == DeliveryState.ACCEPTED,
                    DeliveryRow.commitment_at.is_not(None),
                )
            ).all()
            dropped = [row for row in waiting if row.destination not in destinations]
            for row in dropped:
                row.commitment_at = None
            for result_set_id in {row.result_set_id for row in dropped}:
                settle_jobs(session, result_set_id, now)
            for row in waiting:
                if row.commitment_at is not None and row.commitment_at > soon:
                    row.commitment_at = soon
                    row.commitment_asks = max(0, row.commitment_asks - 1)
            return len(waiting) - len(dropped)

    def unreached(
        self, transaction_uid: str, reason: str, *, rules: CommitmentRules, now: datetime
    ) -> None:
        """Note that the destination could not be asked: it is tried again, uncounted."""
        with self._database.write() as session:
            for row, _ in _waiting(session, transaction_uid):
                row.commitment_asks -= 1
                row.commitment_at = now + timedelta(seconds=rules.unreached_s)
                row.reason = reason

    def refused(
        self, transaction_uid: str, reason: str, *, rules: CommitmentRules, now: datetime
    ) -> None:
        """Note that the destination takes no such request; after a few times it has failed."""
        with self._database.write() as session:
            for row, _ in _waiting(session, transaction_uid):
                again_at = next_attempt(rules.retry, failures=row.commitment_asks, now=now)
                if again_at is None:
                    _fail(session, row, reason, None, now)
                else:
                    row.commitment_at = again_at
                    row.reason = reason

    def report(
        self,
        report: CommitmentReport,
        *,
        destinations: Sequence[str],
        rules: CommitmentRules,
        now: datetime,
    ) -> None:
        """Note what a destination is responsible for now, and send again what it is not.

        A late report tells the truth, too: what it commits is committed, even if the node has
        given up waiting, or means to send it again. What it does not commit counts only if the
        object was not accepted anew since that request.

        Parameters
        ----------
        report
            What came.
        destinations
            Names of the peers that the reporting AE title stands for.
        rules
            How often an object is sent again.
        now
            The present.

        Raises
        ------
        UnknownEntryError
            If none of these destinations was asked in this transaction.
        """
        with self._database.write() as session:
            asked = session.get(CommitmentRow, report.transaction_uid)
            if asked is None or asked.destination not in destinations:
                raise UnknownEntryError(
                    f"Transaction {report.transaction_uid} was never asked of this peer"
                )
            asked.answered_at = now
            waiting = {
                stored.sop_instance_uid: row
                for row, stored in _waiting(session, report.transaction_uid)
            }
            given_up = {
                stored.sop_instance_uid: row
                for row, stored in _asked(session, report.transaction_uid)
                if row.state in {DeliveryState.DEAD, DeliveryState.PENDING}
            }
            for reference in report.committed:
                uid = reference.sop_instance_uid
                if row := waiting.pop(uid, None) or given_up.pop(uid, None):
                    _commit(session, row, now)
            for reference, reason in report.failed:
                row = waiting.pop(reference.sop_instance_uid, None)
                if row and (row.accepted_at is None or row.accepted_at <= asked.asked_at):
                    row.refusals += 1
                    again_at = next_attempt(rules.retry, failures=row.refusals, now=now)
                    _fail(session, row, reason_words(reason), again_at, now)


def _asked(session: Session, transaction_uid: str) -> Sequence[tuple[DeliveryRow, ObjectRow]]:
    """Return the deliveries that a transaction was about."""
    rows = session.execute(
        select(DeliveryRow, ObjectRow)
        .join(ObjectRow, ObjectRow.object_id == DeliveryRow.object_id)
        .join(CommitmentItemRow, CommitmentItemRow.delivery_id == DeliveryRow.delivery_id)
        .where(CommitmentItemRow.transaction_uid == transaction_uid)
    ).all()
    return [(row, stored) for row, stored in rows]


def _waiting(session: Session, transaction_uid: str) -> Sequence[tuple[DeliveryRow, ObjectRow]]:
    """Return those that still wait to be committed."""
    return [
        (row, stored)
        for row, stored in _asked(session, transaction_uid)
        if row.state is DeliveryState.ACCEPTED and row.commitment_at is not None
    ]


def _commit(session: Session, row: DeliveryRow, now: datetime) -> None:
    was_dead = row.state is DeliveryState.DEAD
    row.state = move_delivery(row.state, DeliveryState.COMMITTED)
    row.commitment_at = None
    row.accepted_at = row.accepted_at or now
    row.reason = "committed"
    note_delivery(session, row, EventKind.COMMITTED, row.destination, now)
    if was_dead and not has_dead(session, row.result_set_id):
        reopen_jobs(session, row.result_set_id, now)
    settle_jobs(session, row.result_set_id, now)


def _fail(
    session: Session, row: DeliveryRow, reason: str, again_at: datetime | None, now: datetime
) -> None:
    """Send an object again that is not committed, or give up if `again_at` is None."""
    row.commitment_at = None
    row.reason = f"not committed: {reason}"
    if again_at is None:
        row.state = move_delivery(row.state, DeliveryState.DEAD)
    else:
        row.state = move_delivery(row.state, DeliveryState.PENDING)
        row.accepted_at = None
        row.next_attempt_at = again_at
    note_delivery(session, row, EventKind.NOT_COMMITTED, f"{row.destination}: {row.reason}", now)
    settle_jobs(session, row.result_set_id, now)


def _reference(stored: ObjectRow) -> Reference:
    return Reference(sop_class_uid=stored.sop_class_uid, sop_instance_uid=stored.sop_instance_uid)
