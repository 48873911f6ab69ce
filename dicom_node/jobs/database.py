"""The database behind the ledger: connection, transactions, version of the tables."""

import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, event, inspect, select
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.orm import Session
from sqlalchemy.pool import ConnectionPoolEntry

from dicom_node.errors import LedgerUnavailableError, LedgerVersionError
from dicom_node.jobs.tables import SCHEMA_VERSION, MetaRow, Table
from dicom_node.jobs.upgrade import can_upgrade, upgrade

#: How long a transaction waits for another one. Each takes milliseconds; this is for a disk that
#: hangs.
BUSY_TIMEOUT_S = 30.0

#: Pages that each connection keeps. A process has one for each of its threads, the system keeps
#: the file in memory anyway, and with SQLite's own 2 MiB each the office grew for days.
_CACHE_KIB = 256

#: Prepared statements that each connection keeps, of about 7 KiB; Python's own number is 128.
_STATEMENTS = 32

_VERSION = "schema_version"
_SALT = "patient_salt"
_SALT_BYTES = 32


class Database:
    """An SQLite file with the tables of the ledger, used from any thread and process.

    A file of an earlier version of the node is brought up to date when it is opened.

    It runs in WAL mode, so that readers never hold up the receiver, and every commit is synced.

    Parameters
    ----------
    path
        The file; made with its tables if absent.

    Raises
    ------
    LedgerVersionError
        If the file was written by a later version of the node.
    LedgerUnavailableError
        If it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        # Parameters stay out of error messages: they are what senders wrote.
        self._engine = create_engine(
            URL.create("sqlite", database=str(path)),
            connect_args={"timeout": BUSY_TIMEOUT_S, "cached_statements": _STATEMENTS},
            pool_use_lifo=True,  # the last one first: what is seldom needed stays small
            hide_parameters=True,
        )
        event.listen(self._engine, "connect", _set_up_connection)
        event.listen(self._engine, "begin", _begin)
        self._reading = self._engine.execution_options(read_only=True)
        self._create_tables()

    @property
    def patient_salt(self) -> bytes:
        """Key of the hash that tells patients apart; made once per ledger."""
        with self.read() as session:
            return bytes.fromhex(session.get_one(MetaRow, _SALT).value)

    @contextmanager
    def write(self) -> Iterator[Session]:
        """Open a transaction that may change things; it is committed at the end, or undone.

        It holds the write lock from its first moment, so that what it reads stays true until it
        commits.

        Raises
        ------
        LedgerUnavailableError
            If the database refuses.
        """
        with _session(self._engine) as session:
            yield session

    @contextmanager
    def read(self) -> Iterator[Session]:
        """Open a transaction that sees one moment and only reads. Raises as `write`."""
        with _session(self._reading) as session:
            yield session

    def copy_to(self, path: Path) -> None:
        """Write the ledger as it is at one moment to a new file; others may write meanwhile.

        Raises
        ------
        LedgerUnavailableError
            If the file is there already or cannot be written, or the ledger cannot be read.
        """
        # "VACUUM INTO" runs outside of a transaction and reads one snapshot (SQLite's manual).
        try:
            with closing(self._engine.raw_connection()) as connection:
                connection.cursor().execute("VACUUM INTO ?", (str(path),))
        except (sqlite3.Error, SQLAlchemyError) as error:
            raise LedgerUnavailableError(f"No copy was made: {error}") from error

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    def _create_tables(self) -> None:
        with self.write() as session:
            connection = session.connection()
            if not inspect(connection).has_table(MetaRow.__tablename__):
                Table.metadata.create_all(connection)
                session.add(MetaRow(key=_VERSION, value=str(SCHEMA_VERSION)))
                session.add(MetaRow(key=_SALT, value=secrets.token_hex(_SALT_BYTES)))
                return
            found = session.scalar(select(MetaRow.value).where(MetaRow.key == _VERSION))
            if found != str(SCHEMA_VERSION) and can_upgrade(found):
                upgrade(connection, int(found or 0))
                session.get_one(MetaRow, _VERSION).value = str(SCHEMA_VERSION)
                return
            if found != str(SCHEMA_VERSION):
                raise LedgerVersionError(
                    f"The ledger has schema version {found}, this node needs {SCHEMA_VERSION}"
                )


@contextmanager
def _session(engine: Engine) -> Iterator[Session]:
    try:
        with Session(engine, expire_on_commit=False) as session, session.begin():
            yield session
    except SQLAlchemyError as error:
        raise LedgerUnavailableError(_refusal(engine, error)) from error


def _refusal(engine: Engine, error: SQLAlchemyError) -> str:
    """Return which file refused, why, and what can be done.

    SQLite's own words name tables and states of the file ("database is locked", "disk I/O
    error"), never a value; SQLAlchemy's would quote the row.
    """
    why: object = type(error).__name__
    if isinstance(error, DBAPIError) and isinstance(error.orig, sqlite3.Error):
        why = error.orig
    return f"The ledger {engine.url.database} refused: {why}; `ichnode verify` examines it"


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
    reading = connection.get_execution_options().get("read_only", False)
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")
