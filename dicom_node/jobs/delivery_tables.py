"""Tables of the ledger around deliveries: destinations, storage commitment both ways."""

from datetime import datetime

from sqlalchemy import ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from dicom_node.jobs.column_types import LONG_TEXT, short_text
from dicom_node.jobs.tables import Table


class DestinationRow(Table):
    """A destination as far as it is out of the ordinary: held by an operator, or out of reach.

    `failures` counts connections that failed in a row. `opened_at` is when the circuit was broken,
    `probe_at` when the destination is tried again; both are None while it is reached.
    """

    __tablename__ = "destinations"

    name: Mapped[str] = mapped_column(short_text(64), primary_key=True)
    held_at: Mapped[datetime | None]
    held_reason: Mapped[str] = mapped_column(LONG_TEXT, default="")
    failures: Mapped[int] = mapped_column(default=0)
    probes: Mapped[int] = mapped_column(default=0)
    opened_at: Mapped[datetime | None]
    probe_at: Mapped[datetime | None]
    reason: Mapped[str] = mapped_column(LONG_TEXT, default="")


class CommitmentRow(Table):
    """A storage commitment that the node asked a destination for."""

    __tablename__ = "commitments"

    transaction_uid: Mapped[str] = mapped_column(short_text(64), primary_key=True)
    destination: Mapped[str] = mapped_column(short_text(64))
    asked_at: Mapped[datetime]
    answered_at: Mapped[datetime | None]


class CommitmentItemRow(Table):
    """One delivery that a storage commitment was asked for."""

    __tablename__ = "commitment_items"

    transaction_uid: Mapped[str] = mapped_column(
        ForeignKey("commitments.transaction_uid"), primary_key=True
    )
    delivery_id: Mapped[int] = mapped_column(
        ForeignKey("deliveries.delivery_id"), primary_key=True, index=True
    )


class CommitmentRequestRow(Table):
    """A storage commitment that a sender asked the node for, and the report it is due.

    `next_attempt_at` is None once the report was taken or given up.
    """

    __tablename__ = "commitment_requests"

    request_id: Mapped[int] = mapped_column(primary_key=True)
    calling_ae_title: Mapped[str] = mapped_column(short_text(16))
    transaction_uid: Mapped[str] = mapped_column(short_text(64))
    report: Mapped[str] = mapped_column(LONG_TEXT)
    received_at: Mapped[datetime]
    next_attempt_at: Mapped[datetime | None]
    attempts: Mapped[int] = mapped_column(default=0)
    answered_at: Mapped[datetime | None]
    reason: Mapped[str] = mapped_column(LONG_TEXT, default="")

    __table_args__ = (
        UniqueConstraint("calling_ae_title", "transaction_uid"),
        Index("commitment_requests_due", "next_attempt_at"),
    )
