"""Series that wait for something, judged anew once it has come."""

from datetime import datetime

from sqlalchemy import ColumnElement, update
from sqlalchemy.orm import InstrumentedAttribute, Session

from dicom_node.jobs.state import SeriesState
from dicom_node.jobs.tables import SeriesRow


def look_again(
    session: Session,
    which: ColumnElement[bool],
    at: datetime | InstrumentedAttribute[datetime] = SeriesRow.last_received_at,
) -> None:
    """Have those of the series judged that are being received.

    Parameters
    ----------
    session
        A transaction that writes.
    which
        Condition on `SeriesRow`.
    at
        When; by itself at once, for the last image has come before now.
    """
    session.execute(
        update(SeriesRow)
        .where(which, SeriesRow.state == SeriesState.RECEIVING)
        .values(look_at=at)
        .execution_options(synchronize_session=False)
    )
