"""Tables of the ledger about what an operator keeps, and what has gone."""

from datetime import datetime

from sqlalchemy import Index
from sqlalchemy.orm import Mapped, mapped_column

from dicom_node.jobs.column_types import LONG_TEXT, short_text
from dicom_node.jobs.tables import Table


class StudyHoldRow(Table):
    """A study on legal hold: nothing of it is purged until an operator ends the hold."""

    __tablename__ = "study_holds"

    study_uid: Mapped[str] = mapped_column(short_text(64), primary_key=True)
    why: Mapped[str] = mapped_column(LONG_TEXT)
    by: Mapped[str] = mapped_column(short_text(128))
    since: Mapped[datetime]


class PurgeRow(Table):
    """Something that was purged: what, why, and by whom if it was a person.

    `instances` is how many by SOP Class UID, as JSON. `was_last` says that nothing of the study
    was left.
    """

    __tablename__ = "purges"

    purge_id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime]
    kind: Mapped[str] = mapped_column(short_text(16))
    cause: Mapped[str] = mapped_column(short_text(16))
    by: Mapped[str] = mapped_column(short_text(128), default="")
    series_uid: Mapped[str] = mapped_column(short_text(64))
    study_uid: Mapped[str] = mapped_column(short_text(64))
    patient_key: Mapped[str] = mapped_column(short_text(64), default="")
    instances: Mapped[str] = mapped_column(LONG_TEXT)
    size_bytes: Mapped[int]
    was_last: Mapped[bool] = mapped_column(default=False)
    audited: Mapped[bool] = mapped_column(default=False)

    __table_args__ = (Index("purges_to_audit", "audited", "at"),)
