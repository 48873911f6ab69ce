"""Counts that outlive the processes which count: rows that rise in the transaction they count.

Receiver, worker and office are processes of their own, and each may be killed at any time. What a
transaction of the ledger does is counted in that transaction: no count is lost, none comes twice.
"""

import json
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from dicom_node.jobs.database import Database
from dicom_node.jobs.dialects import insert_or_update
from dicom_node.jobs.tally_tables import TallyRow


class Tally(StrEnum):
    """What is counted. The values are stored; never rename one."""

    INSTANCES = "instances"  #: by outcome
    ASSOCIATIONS = "associations"  #: by outcome and reason
    LOST_LEASES = "lost_leases"  #: by what was held
    DELIVERY_ATTEMPTS = "delivery_attempts"  #: by destination and outcome
    ATTEMPTS = "attempts"  #: of jobs, by kind and outcome
    STEP_SECONDS = "step_seconds"  #: by kind and step
    STEPS = "steps"  #: how many made up those seconds
    DOOR_TO_RESULT = "door_to_result"  #: by upper bound of the bucket
    DOOR_TO_RESULT_SECONDS = "door_to_result_seconds"  #: their sum
    ALERTS = "alerts"  #: by channel and outcome
    AUDIT = "audit"  #: by outcome
    WORKITEMS = "workitems"  #: by worklist and outcome
    PURGED = "purged"  #: files, by kind and cause
    PURGED_BYTES = "purged_bytes"  #: by kind and cause


#: Upper bounds of the histogram of door to result, in seconds. The goal is a few minutes; an hour
#: and more is a destination that was away.
DOOR_BOUNDS_S: Final = (10, 20, 30, 60, 90, 120, 180, 300, 600, 1200, 3600, 14400, 86400)

#: Label of what lies above the last bound, as Prometheus writes it.
ABOVE: Final = "+Inf"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tallied:
    """One count.

    Attributes
    ----------
    tally : Tally
        Of what.
    labels : mapping of str to str
        What it is told apart by.
    value : float
        How many, or how much, since the ledger was made.
    """

    tally: Tally
    labels: Mapping[str, str]
    value: float


def count(session: Session, tally: Tally, amount: float = 1.0, **labels: str) -> None:
    """Let a count rise; it is kept if the transaction is."""
    labelled = json.dumps(labels, sort_keys=True)
    insert_or_update(
        session,
        TallyRow,
        {"name": tally.value, "labels": labelled, "value": amount},
        adding="value",
    )


def observe_door(session: Session, seconds: float) -> None:
    """Put a time from the last image to the last result accepted into its bucket."""
    place = bisect_left(DOOR_BOUNDS_S, seconds)
    bound = str(DOOR_BOUNDS_S[place]) if place < len(DOOR_BOUNDS_S) else ABOVE
    count(session, Tally.DOOR_TO_RESULT, le=bound)
    count(session, Tally.DOOR_TO_RESULT_SECONDS, seconds)


def count_steps(session: Session, kind: str, seconds: object) -> None:
    """Add what each step of a job took; `seconds` comes from its record."""
    if not isinstance(seconds, Mapping):
        return
    for step, taken in seconds.items():
        if isinstance(taken, int | float) and taken >= 0:
            count(session, Tally.STEP_SECONDS, float(taken), kind=kind, step=str(step))
            count(session, Tally.STEPS, kind=kind, step=str(step))


class TallyLedger:
    """Reads all counts, and takes those that were made outside the ledger.

    Every method raises LedgerUnavailableError.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, counted: Sequence[Tallied]) -> None:
        """Let counts rise that a process has kept in its memory for a few seconds."""
        if not counted:
            return
        with self._database.write() as session:
            for one in counted:
                count(session, one.tally, one.value, **one.labels)

    def read(self) -> tuple[Tallied, ...]:
        """Return every count."""
        with self._database.read() as session:
            rows = session.scalars(select(TallyRow).order_by(TallyRow.name, TallyRow.labels))
            return tuple(
                Tallied(tally=Tally(row.name), labels=json.loads(row.labels), value=row.value)
                for row in rows
            )
