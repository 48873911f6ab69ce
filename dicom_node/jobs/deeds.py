"""What people did lately, as the ledger has it: log-ins, and what they told the node to do."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import InstrumentedAttribute

from dicom_node.jobs.database import Database
from dicom_node.jobs.refused_callers import RefusedCaller, RefusedCallers
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
class Span:
    """A span of time: from its beginning to before its end; None: without that bound."""

    since: datetime | None = None
    until: datetime | None = None

    def holds(self, at: datetime) -> bool:
        """Return whether a moment lies in it."""
        return (self.since is None or at >= self.since) and (self.until is None or at < self.until)


EVER: Final = Span()


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

    def sign_ins(self, *, within: Span = EVER, limit: int) -> tuple[SignInEntry, ...]:
        """Return the last log-ins and log-outs, and attempts in vain."""
        with self._database.read() as session:
            rows = session.scalars(
                select(SignInRow)
                .where(*_within(SignInRow.at, within))
                .order_by(SignInRow.sign_in_id.desc())
                .limit(limit)
            )
            return tuple(map(sign_in_entry, rows))

    def refused_callers(self) -> tuple[RefusedCaller, ...]:
        """Return whom the receiver turned away lately."""
        return RefusedCallers(self._database).read()

    def interventions(self, *, within: Span = EVER, limit: int) -> tuple[Intervention, ...]:
        """Return what was last done to series because somebody, or a rule of the site, said so."""
        with self._database.read() as session:
            rows = session.scalars(
                select(EventRow)
                .where(
                    EventRow.kind.in_([one.value for one in _BY_PEOPLE]),
                    *_within(EventRow.at, within),
                )
                .order_by(EventRow.event_id.desc())
                .limit(limit)
            )
            return tuple(
                Intervention(at=row.at, series_uid=row.series_uid, kind=row.kind, text=row.text)
                for row in rows
            )


def _within(at: InstrumentedAttribute[datetime], span: Span) -> list[ColumnElement[bool]]:
    bounds = []
    if span.since is not None:
        bounds.append(at >= span.since)
    if span.until is not None:
        bounds.append(at < span.until)
    return bounds
