"""Table of the ledger for counts."""

from sqlalchemy import Float
from sqlalchemy.orm import Mapped, mapped_column

from dicom_node.jobs.column_types import LONG_TEXT, short_text
from dicom_node.jobs.tables import Table


class TallyRow(Table):
    """How often, or how much, since the ledger was made. `labels` is JSON with sorted keys."""

    __tablename__ = "tallies"

    name: Mapped[str] = mapped_column(short_text(32), primary_key=True)
    labels: Mapped[str] = mapped_column(LONG_TEXT, primary_key=True)
    value: Mapped[float] = mapped_column(Float)
