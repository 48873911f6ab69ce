"""The port behind which SQLite and PostgreSQL lie: whatever the two do differently."""

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from dicom_node.errors import LedgerUnavailableError
from dicom_node.jobs.dispatch import Dispatch


class DatabaseEngine(Protocol):
    """One of the databases that a ledger can lie in.

    A transaction of `writing` is alone: from its first moment to its end no other one changes
    anything, in any process on any host. A transaction of `reading` sees one moment.
    """

    @property
    def writing(self) -> Engine:
        """Return what opens transactions that change things."""

    @property
    def reading(self) -> Engine:
        """Return what opens transactions that only read."""

    @property
    def place(self) -> str:
        """Return the words for where it is; no password."""

    @property
    def dispatch(self) -> Dispatch:
        """Return what hands its jobs to workers."""

    @property
    def rebuilding(self) -> Engine:
        """Return what opens transactions that may take tables apart and put them together."""

    def is_away(self) -> bool:
        """Return whether nobody answers there yet, so that waiting may help."""

    def exists(self) -> bool:
        """Return whether somebody has made a ledger there."""

    @property
    def is_upgraded_unasked(self) -> bool:
        """Return whether whoever opens a ledger of an earlier version brings it up to date."""

    def alone(self) -> AbstractContextManager[None]:
        """Keep other processes from upgrading it while the context is open."""

    def keep(self, version: int) -> Path | None:
        """Copy the ledger before it is changed from `version`; None where others back it up."""

    def after_creation(self, connection: Connection) -> None:
        """Add what only this database has, in the transaction that makes the tables."""

    def number_on(self, connection: Connection) -> None:
        """Have new rows numbered after those that are there, which were written with theirs."""

    def copy_to(self, path: Path) -> None:
        """Write the ledger of one moment to a new file, or say what does. Raises LedgerError."""

    def refused(self, error: SQLAlchemyError) -> LedgerUnavailableError:
        """Return why it refused, in words that hold nothing of a row, and what helps."""

    def faults(self, session: Session) -> tuple[str, ...]:
        """Return what is wrong with it as a database; empty if it is sound."""
