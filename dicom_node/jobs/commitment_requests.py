"""Storage commitment that senders ask of the node: what it vouches for, and who was told."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from dicom_node.association.commitment_terms import (
    CLASS_CONFLICT,
    NO_SUCH_INSTANCE,
    CommitmentReport,
    CommitmentRequest,
    Reference,
)
from dicom_node.jobs.database import Database
from dicom_node.jobs.delivery_tables import CommitmentRequestRow
from dicom_node.jobs.tables import InstanceRow

#: SQLite takes this many parameters in any build.
_CHUNK = 500

#: The receiver reports over the same association; only after this long another one is opened.
OWN_ASSOCIATION_S = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DueReport:
    """A report that its asker has not taken yet."""

    request_id: int
    calling_ae_title: str
    report: CommitmentReport
    attempts: int


class CommitmentRequests:
    """Durable requests of senders. What the ledger holds as an instance is in custody."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def record(
        self, request: CommitmentRequest, *, calling_ae_title: str, now: datetime
    ) -> CommitmentReport:
        """Keep a request and return the report it is due.

        A request that is repeated is answered anew.
        """
        with self._database.write() as session:
            report = _judge(session, request, now)
            row = _find(session, calling_ae_title, request.transaction_uid)
            if row is None:
                row = CommitmentRequestRow(
                    calling_ae_title=calling_ae_title,
                    transaction_uid=request.transaction_uid,
                    received_at=now,
                )
                session.add(row)
            row.report = _as_text(report)
            row.attempts = 0
            row.answered_at = None
            row.reason = ""
            row.next_attempt_at = now + timedelta(seconds=OWN_ASSOCIATION_S)
            return report

    def answered(self, transaction_uid: str, *, calling_ae_title: str, now: datetime) -> None:
        """Note that the asker took the report."""
        with self._database.write() as session:
            row = _find(session, calling_ae_title, transaction_uid)
            if row is not None:
                row.answered_at = now
                row.next_attempt_at = None
                row.reason = ""

    def due(self, now: datetime) -> tuple[DueReport, ...]:
        """Return the reports that are to be tried now, oldest first."""
        with self._database.read() as session:
            rows = session.scalars(
                select(CommitmentRequestRow)
                .where(CommitmentRequestRow.next_attempt_at <= now)
                .order_by(CommitmentRequestRow.request_id)
            )
            return tuple(
                DueReport(
                    request_id=row.request_id,
                    calling_ae_title=row.calling_ae_title,
                    report=_from_text(row.transaction_uid, row.report),
                    attempts=row.attempts,
                )
                for row in rows
            )

    def postpone(self, request_id: int, reason: str, *, again_at: datetime | None) -> None:
        """Note that the asker did not take its report; None gives up."""
        with self._database.write() as session:
            row = session.get_one(CommitmentRequestRow, request_id)
            row.attempts += 1
            row.reason = reason
            row.next_attempt_at = again_at

    def untold(self) -> tuple[tuple[str, str], ...]:
        """Return AE title and reason of every sender that was given up."""
        with self._database.read() as session:
            rows = session.execute(
                select(CommitmentRequestRow.calling_ae_title, CommitmentRequestRow.reason)
                .where(
                    CommitmentRequestRow.next_attempt_at.is_(None),
                    CommitmentRequestRow.answered_at.is_(None),
                )
                .distinct()
                .order_by(CommitmentRequestRow.calling_ae_title)
            )
            return tuple((caller, reason) for caller, reason in rows)


def _judge(session: Session, request: CommitmentRequest, now: datetime) -> CommitmentReport:
    """Return what the node vouches for, and remember with each instance that it does.

    What was purged is as unknown as what never came.
    """
    known: dict[str, dict[str, list[InstanceRow]]] = {}
    for chunk in _chunks([one.sop_instance_uid for one in request.references]):
        rows = session.scalars(
            select(InstanceRow).where(
                InstanceRow.sop_instance_uid.in_(chunk), InstanceRow.purged_at.is_(None)
            )
        )
        for row in rows:
            versions = known.setdefault(row.sop_instance_uid, {})
            versions.setdefault(row.sop_class_uid, []).append(row)
    committed, failed = [], []
    for reference in request.references:
        classes = known.get(reference.sop_instance_uid)
        if classes is None:
            failed.append((reference, NO_SUCH_INSTANCE))
        elif reference.sop_class_uid not in classes:
            failed.append((reference, CLASS_CONFLICT))
        else:
            committed.append(reference)
            for row in classes[reference.sop_class_uid]:
                row.committed_at = now
    return CommitmentReport(
        transaction_uid=request.transaction_uid, committed=tuple(committed), failed=tuple(failed)
    )


def _find(
    session: Session, calling_ae_title: str, transaction_uid: str
) -> CommitmentRequestRow | None:
    return session.scalar(
        select(CommitmentRequestRow).filter_by(
            calling_ae_title=calling_ae_title, transaction_uid=transaction_uid
        )
    )


def _chunks(uids: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(uids), _CHUNK):
        yield uids[start : start + _CHUNK]


def _as_text(report: CommitmentReport) -> str:
    return json.dumps(
        {
            "committed": [[one.sop_class_uid, one.sop_instance_uid] for one in report.committed],
            "failed": [
                [one.sop_class_uid, one.sop_instance_uid, reason] for one, reason in report.failed
            ],
        }
    )


def _from_text(transaction_uid: str, text: str) -> CommitmentReport:
    stored = json.loads(text)
    return CommitmentReport(
        transaction_uid=transaction_uid,
        committed=tuple(
            Reference(sop_class_uid=sop_class, sop_instance_uid=instance)
            for sop_class, instance in stored["committed"]
        ),
        failed=tuple(
            (Reference(sop_class_uid=sop_class, sop_instance_uid=instance), reason)
            for sop_class, instance, reason in stored["failed"]
        ),
    )
