"""SQLite under the ledger: one file on a local disk, no service at all."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.orm import Session
from sqlalchemy.pool import ConnectionPoolEntry

from dicom_node.errors import LedgerDamagedError, LedgerUnavailableError
from dicom_node.jobs.dispatch import InOrder
from dicom_node.lockfile import LockHeldError, hold_lock

#: How long a transaction waits for another one. Each takes milliseconds; this is for a disk that
#: hangs.
BUSY_TIMEOUT_S = 30.0

#: How long a process waits for another one that copies and upgrades.
_UPGRADE_PATIENCE_S = 600.0

#: For the node's own account only.
_PRIVATE = 0o600

#: Pages that each connection keeps. A process has one for each of its threads, the system keeps
#: the file in memory anyway, and with SQLite's own 2 MiB each the office grew for days.
_CACHE_KIB = 256

#: Kinds of refusal that say that the file is not sound; the last one that its tables are not ours.
_DAMAGED: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR})

#: What helps against other kinds; the rest passes by itself, or its words say all.
_ADVICE: Final = {
    sqlite3.SQLITE_FULL: "make room on its disk, and the node goes on by itself",
    sqlite3.SQLITE_IOERR: "its disk is full or faulty: df, dmesg",
    sqlite3.SQLITE_READONLY: "look at the rights of its folder, and whether its disk is read-only",
    sqlite3.SQLITE_CANTOPEN: "look at the rights of its folder",
}

#: Prepared statements that each connection keeps, of about 7 KiB; Python's own number is 128.
_STATEMENTS = 32


class SqliteEngine:
    """A `DatabaseEngine` on a file.

    It runs in WAL mode, so that readers never hold up the receiver, and every commit is synced.

    Parameters
    ----------
    path
        The file; made when something is first written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        # Parameters stay out of error messages: they are what senders wrote.
        self._writing = create_engine(
            URL.create("sqlite", database=str(path)),
            connect_args={"timeout": BUSY_TIMEOUT_S, "cached_statements": _STATEMENTS},
            pool_use_lifo=True,  # the last one first: what is seldom needed stays small
            hide_parameters=True,
        )
        event.listen(self._writing, "connect", _set_up_connection)
        event.listen(self._writing, "begin", _begin)
        self._reading = self._writing.execution_options(read_only=True)

    @property
    def writing(self) -> Engine:
        """Return what opens transactions that hold the write lock from their first moment."""
        return self._writing

    @property
    def reading(self) -> Engine:
        """Return what opens transactions that only read."""
        return self._reading

    @property
    def dispatch(self) -> InOrder:
        """Return what hands its jobs to workers."""
        return InOrder()

    @property
    def rebuilding(self) -> Engine:
        """Return what opens transactions in which keys are not looked at.

        SQLite takes a column with a key away by copying its table, for which this is the way that
        its documentation shows ("ALTER TABLE", section 7).
        """
        return self._writing.execution_options(rebuilding=True)

    @property
    def place(self) -> str:
        """Return the file's name."""
        return str(self._path)

    def is_away(self) -> bool:
        """Return False: a file does not come by itself."""
        return False

    def exists(self) -> bool:
        """Return whether the file is there."""
        return self._path.is_file()

    @property
    def is_upgraded_unasked(self) -> bool:
        """Return True: it is one machine's own, and it is copied before."""
        return True

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold a lock file beside it. Raises LedgerUnavailableError."""
        try:
            with hold_lock(self._beside("upgrade.lock"), wait_s=_UPGRADE_PATIENCE_S):
                yield
        except (LockHeldError, OSError) as error:
            words = f"The ledger {self._path} cannot be upgraded: {error}"
            raise LedgerUnavailableError(words) from error

    def keep(self, version: int) -> Path | None:
        """Copy the file beside itself under a name that no other copy has."""
        names = (self._beside(f"version-{version}{end}") for end in _endings())
        copy = next(name for name in names if not name.exists())
        unfinished = self._beside("unfinished-copy")
        unfinished.unlink(missing_ok=True)
        # Made here, empty: so it is nobody else's to read from its first byte.
        os.close(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE))
        self.copy_to(unfinished)
        unfinished.rename(copy)
        return copy

    def _beside(self, end: str) -> Path:
        return self._path.with_name(f"{self._path.name}.{end}")

    def after_creation(self, connection: Connection) -> None:
        """Nothing: the tables are all there is."""

    def number_on(self, connection: Connection) -> None:
        """Do nothing: a number is one more than the highest there is."""

    def copy_to(self, path: Path) -> None:
        """Write the ledger as it is at one moment to a new file; others may write meanwhile.

        Raises
        ------
        LedgerUnavailableError
            If the file is there already or cannot be written, or the ledger cannot be read.
        """
        # "VACUUM INTO" runs outside of a transaction and reads one snapshot (SQLite's manual).
        try:
            with closing(self._writing.raw_connection()) as connection:
                connection.cursor().execute("VACUUM INTO ?", (str(path),))
        except (sqlite3.Error, SQLAlchemyError) as error:
            raise LedgerUnavailableError(f"No copy was made: {error}") from error

    def refused(self, error: SQLAlchemyError) -> LedgerUnavailableError:
        """Return SQLite's own words, and what helps against what it names.

        They name tables and states of the file ("database is locked", "disk I/O error"), never a
        value; SQLAlchemy's would quote the row.
        """
        words = f"The ledger {self._path} refused: "
        if not isinstance(error, DBAPIError) or not isinstance(error.orig, sqlite3.Error):
            return LedgerUnavailableError(words + type(error).__name__)
        words += str(error.orig)
        # The lowest byte is the kind, whatever else is known about it ("Result Codes", section 2).
        kind = getattr(error.orig, "sqlite_errorcode", 0) & 0xFF
        if kind in _DAMAGED:
            return LedgerDamagedError(words, advice="`ichnode verify` examines it")
        return LedgerUnavailableError(words, advice=_ADVICE.get(kind, ""))

    def faults(self, session: Session) -> tuple[str, ...]:
        """Return what SQLite finds wrong with the file."""
        found = session.scalars(text("PRAGMA integrity_check(20)")).all()
        broken = len(session.execute(text("PRAGMA foreign_key_check")).all())
        faults = [str(line) for line in found if line != "ok"]
        if broken:
            faults.append(f"{broken} rows point to rows that are gone")
        return tuple(faults)


def _endings() -> Iterator[str]:
    yield ""
    for number in count(2):
        yield f".{number}"


def _set_up_connection(connection: sqlite3.Connection, _record: ConnectionPoolEntry) -> None:
    # Transactions are begun by `_begin`, not by the driver.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.execute(f"PRAGMA cache_size=-{_CACHE_KIB}")
    cursor.close()


def _begin(connection: Connection) -> None:
    options = connection.get_execution_options()
    if options.get("rebuilding", False):
        connection.exec_driver_sql("PRAGMA foreign_keys=OFF")  # without effect after a BEGIN
        connection.detach()  # so that it is closed afterwards, and nobody else gets it
    reading = options.get("read_only", False)
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")
