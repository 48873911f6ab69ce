"""The database behind the ledger: transactions, version of the tables."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Engine, inspect, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from dicom_node.errors import LedgerVersionError
from dicom_node.jobs.all_tables import METADATA
from dicom_node.jobs.database_engine import DatabaseEngine
from dicom_node.jobs.ledger_place import LedgerPlace
from dicom_node.jobs.tables import SCHEMA_VERSION, MetaRow

_VERSION = "schema_version"
_SALT = "patient_salt"
_SALT_BYTES = 32


class Database:
    """The tables of the ledger in a database, used from any thread and process.

    A file of an earlier version of the node is copied and brought up to date when it is opened; a
    database on a server, which other hosts may use, only when somebody asks for it
    (`dicom_node.jobs.upgrade`).

    Parameters
    ----------
    place
        The file or the database; its tables are made if absent.

    Raises
    ------
    LedgerVersionError
        If it was written by a later version of the node, or by an earlier one on a server.
    LedgerUnavailableError
        If it cannot be opened.
    """

    def __init__(self, place: LedgerPlace) -> None:
        self._engine = engine_of(place)
        if self._create_tables():
            return
        found = self.version
        if found != SCHEMA_VERSION:
            self._bring_up(found)

    @property
    def engine(self) -> DatabaseEngine:
        """What the tables lie in."""
        return self._engine

    @property
    def version(self) -> int:
        """Version of the tables."""
        return version_in(self._engine)

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
        with session_of(self._engine, self._engine.writing) as session:
            self._engine.dispatch.attend(session)
            yield session

    @contextmanager
    def read(self) -> Iterator[Session]:
        """Open a transaction that sees one moment and only reads. Raises as `write`."""
        with session_of(self._engine, self._engine.reading) as session:
            yield session

    def copy_to(self, path: Path) -> None:
        """Write the ledger as it is at one moment to a new file; others may write meanwhile.

        Raises
        ------
        LedgerUnavailableError
            If the file is there already or cannot be written, or the ledger cannot be read.
        """
        self._engine.copy_to(path)

    def close(self) -> None:
        """Close all connections."""
        self._engine.writing.dispose()

    def _create_tables(self) -> bool:
        """Make the tables if there are none; return whether they were made."""
        with self.write() as session:
            connection = session.connection()
            if inspect(connection).has_table(MetaRow.__tablename__):
                return False
            METADATA.create_all(connection)
            self._engine.after_creation(connection)
            session.add(MetaRow(key=_VERSION, value=str(SCHEMA_VERSION)))
            session.add(MetaRow(key=_SALT, value=secrets.token_hex(_SALT_BYTES)))
            return True

    def _bring_up(self, found: int) -> None:
        from dicom_node.jobs.upgrade import leads_up, upgrade

        if not leads_up(found):
            raise LedgerVersionError(
                f"The ledger {self._engine.place} has schema version {found}, this node needs "
                f"{SCHEMA_VERSION}: use the ichnode that wrote it, or have that one take it down "
                f"(`ichnode ledger downgrade {SCHEMA_VERSION}`)"
            )
        if not self._engine.is_upgraded_unasked:
            raise LedgerVersionError(
                f"The ledger {self._engine.place} has schema version {found}, this node needs "
                f"{SCHEMA_VERSION}: stop every node that uses it, back it up, then "
                "`ichnode ledger upgrade`"
            )
        upgrade(self._engine)


def engine_of(place: LedgerPlace) -> DatabaseEngine:
    """Return the engine for a place; nothing is opened yet. Raises LedgerUnavailableError."""
    if isinstance(place, Path):
        from dicom_node.jobs.sqlite_engine import SqliteEngine

        return SqliteEngine(place)
    from dicom_node.jobs.postgresql_engine import PostgresqlEngine

    return PostgresqlEngine(place)


def version_of(session: Session) -> int:
    """Return the version of the tables. Raises LedgerVersionError if they name none."""
    found = session.scalar(select(MetaRow.value).where(MetaRow.key == _VERSION))
    if found is None or not found.isdecimal():
        raise LedgerVersionError(
            f"The ledger has schema version {found}, this node needs {SCHEMA_VERSION}"
        )
    return int(found)


def version_in(engine: DatabaseEngine) -> int:
    """Return the version of the tables as they are now. Raises LedgerError."""
    with session_of(engine, engine.reading) as session:
        return version_of(session)


def note_version(session: Session, version: int) -> None:
    """Write down the version of the tables."""
    session.get_one(MetaRow, _VERSION).value = str(version)


@contextmanager
def session_of(engine: DatabaseEngine, way: Engine) -> Iterator[Session]:
    """Open a transaction; every refusal is told as one of the ledger."""
    try:
        with Session(way, expire_on_commit=False) as session, session.begin():
            yield session
    except SQLAlchemyError as error:
        raise engine.refused(error) from error
