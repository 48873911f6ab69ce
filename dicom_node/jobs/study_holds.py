"""Legal hold: studies of which nothing is purged until an operator says so."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from dicom_node.errors import UnknownEntryError
from dicom_node.jobs.database import Database
from dicom_node.jobs.retention_tables import StudyHoldRow
from dicom_node.jobs.tables import SeriesRow
from dicom_node.jobs.timeline import EventKind, record


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyHold:
    """A study on hold: since when, why and by whom."""

    study_uid: str
    why: str
    by: str
    since: datetime


class StudyHolds:
    """Puts studies on legal hold and takes them off. Raises LedgerUnavailableError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def hold(self, study_uid: str, why: str, *, by: str, now: datetime) -> int:
        """Keep a study for good; return how many series it has.

        A study that is on hold already keeps its date, and the new reason.

        Raises
        ------
        UnknownEntryError
            If the ledger knows no such study.
        """
        with self._database.write() as session:
            series = _note(session, study_uid, EventKind.HOLD, f"{by}: {why}", now)
            row = session.get(StudyHoldRow, study_uid)
            if row is None:
                session.add(StudyHoldRow(study_uid=study_uid, why=why, by=by, since=now))
            else:
                row.why, row.by = why, by
            return series

    def unhold(self, study_uid: str, *, by: str, now: datetime) -> int:
        """End the hold of a study; return how many series it has.

        Raises
        ------
        UnknownEntryError
            If it is not on hold.
        """
        with self._database.write() as session:
            row = session.get(StudyHoldRow, study_uid)
            if row is None:
                raise UnknownEntryError(f"study {study_uid!r} is not on hold")
            session.delete(row)
            return _note(session, study_uid, EventKind.UNHOLD, by, now)

    def standing(self) -> tuple[StudyHold, ...]:
        """Return all holds, the oldest first."""
        with self._database.read() as session:
            rows = session.scalars(select(StudyHoldRow).order_by(StudyHoldRow.since))
            return tuple(
                StudyHold(study_uid=row.study_uid, why=row.why, by=row.by, since=row.since)
                for row in rows
            )


def _note(session: Session, study_uid: str, kind: EventKind, text: str, now: datetime) -> int:
    series = session.scalars(
        select(SeriesRow.series_uid).where(SeriesRow.study_uid == study_uid)
    ).all()
    if not series:
        raise UnknownEntryError(f"the ledger knows no study {study_uid!r}")
    for series_uid in series:
        record(session, now, series_uid, kind, text)
    return len(series)
