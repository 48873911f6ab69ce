"""What people did lately, as the ledger has it: log-ins, and what they told the node to do."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import select

from dicom_node.jobs.database import Database
from dicom_node.jobs.tables import EventRow
from dicom_node.jobs.timeline import EventKind
from dicom_node.jobs.user_ledger import SignInEntry, sign_in_entry
from dicom_node.jobs.user_tables import SignInRow

#: Entries of timelines behind which somebody stands.
_BY_PEOPLE: Final = (
    EventKind.HOLD,
    EventKind.UNHOLD,
    EventKind.RETRIED,
    EventKind.CANCELLED,
    EventKind.URGENT,
    EventKind.ROUTINE,
    EventKind.PURGED,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Intervention:
    """An entry of the timeline of a series."""

    at: datetime
    series_uid: str
    kind: str
    text: str


class Deeds:
    """Reads, the newest first. Every method raises LedgerUnavailableError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def sign_ins(self, *, limit: int) -> tuple[SignInEntry, ...]:
        """Return the last log-ins and log-outs, and attempts in vain."""
        with self._database.read() as session:
            rows = session.scalars(
                select(SignInRow).order_by(SignInRow.sign_in_id.desc()).limit(limit)
            )
            return tuple(map(sign_in_entry, rows))

    def interventions(self, *, limit: int) -> tuple[Intervention, ...]:
        """Return what was last done to series because somebody, or a rule of the site, said so."""
        with self._database.read() as session:
            rows = session.scalars(
                select(EventRow)
                .where(EventRow.kind.in_([one.value for one in _BY_PEOPLE]))
                .order_by(EventRow.event_id.desc())
                .limit(limit)
            )
            return tuple(
                Intervention(at=row.at, series_uid=row.series_uid, kind=row.kind, text=row.text)
                for row in rows
            )
