"""Worklists as pages show them: those of the settings, and those that the ledger remembers."""

from dataclasses import dataclass
from datetime import datetime

from dicom_node.web.house import House


@dataclass(frozen=True, slots=True, kw_only=True)
class WorklistRow:
    """A worklist server: how it answers, and what is in hand for it.

    Attributes
    ----------
    name : str
        Which.
    is_configured : bool
        Whether the settings still name it.
    in_hand : int
        Workitems that were claimed and are not at their end.
    failures : int
        How often in a row it could not be asked.
    reason : str
        Why.
    look_at, reached_at : datetime or None
        When it is asked next, and when it last answered.
    """

    name: str
    is_configured: bool
    in_hand: int
    failures: int = 0
    reason: str = ""
    look_at: datetime | None = None
    reached_at: datetime | None = None


def worklist_rows(house: House) -> list[WorklistRow]:
    """Return every worklist by its name. Raises LedgerError."""
    ledger = house.sources.worklists
    configured = {one.name for one in house.sources.desk.in_force().worklists}
    known = {one.name: one for one in ledger.worklists()}
    rows = []
    for name in sorted(configured | known.keys()):
        status = known.get(name)
        rows.append(
            WorklistRow(
                name=name,
                is_configured=name in configured,
                in_hand=ledger.in_hand(name),
                failures=status.failures if status else 0,
                reason=status.reason if status else "",
                look_at=status.look_at if status else None,
                reached_at=status.reached_at if status else None,
            )
        )
    return rows
