"""The series of a received study as selection sees them, for trying rules."""

from sqlalchemy import exists, select

from dicom_node.intake.selection import Candidate
from dicom_node.jobs.database import Database
from dicom_node.jobs.series_ledger import candidate_of
from dicom_node.jobs.tables import InstanceRow, SeriesRow


def study_candidates(database: Database, study_uid: str) -> tuple[Candidate, ...]:
    """Return every series of a study that has images here; none if the ledger knows no such study.

    Raises
    ------
    LedgerUnavailableError
        If the ledger cannot be read.
    """
    has_images = exists().where(
        InstanceRow.series_uid == SeriesRow.series_uid,
        InstanceRow.current,
        InstanceRow.purged_at.is_(None),
    )
    rows = (
        select(SeriesRow)
        .where(SeriesRow.study_uid == study_uid, has_images)
        .order_by(SeriesRow.first_received_at, SeriesRow.series_uid)
    )
    with database.read() as session:
        return tuple(candidate_of(session, row) for row in session.scalars(rows).all())
