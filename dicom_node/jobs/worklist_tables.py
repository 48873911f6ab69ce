"""Tables of the ledger around worklists of Unified Procedure Steps.

They hold UIDs, codes and times; nothing of the patient that a workitem names.
"""

from datetime import datetime

from sqlalchemy import Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from dicom_node.jobs.column_types import LONG_TEXT, short_text
from dicom_node.jobs.state import WorkitemState
from dicom_node.jobs.tables import StateText, Table


class WorklistRow(Table):
    """A worklist server and when it is asked again; `failures` counts those in a row."""

    __tablename__ = "worklists"

    name: Mapped[str] = mapped_column(short_text(64), primary_key=True)
    look_at: Mapped[datetime]
    failures: Mapped[int] = mapped_column(default=0)
    reason: Mapped[str] = mapped_column(LONG_TEXT, default="")
    reached_at: Mapped[datetime | None]


class WorkitemRow(Table):
    """A workitem that the node has claimed, or is about to.

    `transaction_uid` is the key to it: it is here before the server hears of it. `inputs` and
    `code` are JSON: the images that are asked about, and what is to be done. `told` is the last
    progress that the server knows, `cancel_reason` why somebody wants it cancelled, `ending` how
    it ends once that is decided (JSON). `fetching` stands while images are asked
    for, `fetched` once they have come. `audited` counts the messages that are in the audit trail.
    """

    __tablename__ = "workitems"

    workitem_id: Mapped[int] = mapped_column(primary_key=True)
    worklist: Mapped[str] = mapped_column(short_text(64))
    workitem_uid: Mapped[str] = mapped_column(short_text(64))
    transaction_uid: Mapped[str] = mapped_column(short_text(64))
    state: Mapped[WorkitemState] = mapped_column(StateText(WorkitemState))
    reason: Mapped[str] = mapped_column(LONG_TEXT, default="")
    inputs: Mapped[str] = mapped_column(LONG_TEXT)
    code: Mapped[str] = mapped_column(LONG_TEXT, default="")
    urgent: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime]
    claimed_at: Mapped[datetime | None]
    look_at: Mapped[datetime]
    attempts: Mapped[int] = mapped_column(default=0)
    fetching: Mapped[bool] = mapped_column(default=False)
    fetched: Mapped[bool] = mapped_column(default=False)
    told: Mapped[str] = mapped_column(LONG_TEXT, default="")
    cancel_reason: Mapped[str] = mapped_column(LONG_TEXT, default="")
    ending: Mapped[str] = mapped_column(LONG_TEXT, default="")
    finished_at: Mapped[datetime | None]
    audited: Mapped[int] = mapped_column(default=0)

    __table_args__ = (
        UniqueConstraint("worklist", "workitem_uid"),
        Index("workitems_open", "worklist", "state"),
        Index("workitems_fetching", "fetching", "state"),
    )
