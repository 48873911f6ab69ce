"""PostgreSQL under the ledger: one database that the processes of several hosts share."""

import importlib.util
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Engine, create_engine, event, func, inspect, make_url, select
from sqlalchemy.engine import URL, Dialect
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
from sqlalchemy.orm import Session
from sqlalchemy.pool import ConnectionPoolEntry

from dicom_node.errors import LedgerUnavailableError
from dicom_node.jobs.all_tables import METADATA
from dicom_node.jobs.ledger_place import PostgresqlPlace
from dicom_node.jobs.procrastinate_dispatch import ProcrastinateDispatch, install
from dicom_node.jobs.tables import MetaRow
from dicom_node.secret_file import SecretFileError, read_secret

#: What `pip install` adds for this database.
_PACKAGES: Final = ("psycopg", "procrastinate")

#: Key of the lock that a transaction holds which changes things. Any number: the ledger's own.
_WRITE_LOCK: Final = 0x1C_11_0D_E0

_BEGIN_WRITING: Final = f"SELECT pg_advisory_xact_lock({_WRITE_LOCK})"
_BEGIN_READING: Final = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"

#: What custody and several hosts rest on, whatever the server is set to. A transaction takes
#: milliseconds; a host that dies within one must not hold the lock for long.
_SESSION: Final = (
    "SET synchronous_commit = on",
    "SET lock_timeout = '30s'",
    "SET idle_in_transaction_session_timeout = '120s'",
    "SET tcp_keepalives_idle = 10",
    "SET tcp_keepalives_interval = 5",
    "SET tcp_keepalives_count = 3",
)

#: A database made without a locale is in SQL_ASCII, and text would come from it as bytes.
_CONNECT: Final = {"connect_timeout": 10, "application_name": "ichnode", "client_encoding": "utf8"}

#: The least that libpq knows.
_PING_TIMEOUT_S: Final = 2

#: Classes of SQLSTATE whose words name no value: connection, resources, limits, operator, system
#: (PostgreSQL's manual, appendix A).
_WORDS_WITHOUT_VALUES: Final = ("08", "28", "3D", "53", "55", "57", "58")

#: What helps against states whose words do not say it (the same appendix).
_ADVICE: Final = {
    "53100": "make room on the disk of the database server",
    **dict.fromkeys(("XX001", "XX002"), "the database must be examined by PostgreSQL's own tools"),
}


class PostgresqlEngine:
    """A `DatabaseEngine` on a PostgreSQL server.

    A transaction that changes things takes a lock of the database's own first (an advisory lock
    that ends with it), as SQLite's ``BEGIN IMMEDIATE`` does: so what it reads stays true until it
    commits, and no transaction ever has to be repeated.

    Parameters
    ----------
    place
        Which database.

    Raises
    ------
    LedgerUnavailableError
        If the packages for it are not installed, or the URL cannot be read.
    """

    def __init__(self, place: PostgresqlPlace) -> None:
        missing = [name for name in _PACKAGES if importlib.util.find_spec(name) is None]
        if missing:
            raise LedgerUnavailableError(
                f"The ledger {place} needs the packages {' and '.join(missing)}: "
                "pip install 'ichnode[postgresql]'"
            )
        self._place = place
        self._writing = create_engine(
            _url(place),
            connect_args=dict(_CONNECT),
            hide_parameters=True,
            pool_pre_ping=True,
        )
        event.listen(self._writing, "do_connect", self._add_password)
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
    def dispatch(self) -> ProcrastinateDispatch:
        """Return what hands its jobs to workers."""
        return ProcrastinateDispatch()

    @property
    def rebuilding(self) -> Engine:
        """Return what opens transactions that may change tables: any can."""
        return self._writing

    @property
    def place(self) -> str:
        """Return the URL without its parameters; it holds no password."""
        return str(self._place)

    def is_away(self) -> bool:
        """Return whether no server answers, or one that is only starting or ending.

        Asked by ``PQping`` (PostgreSQL's manual, section 34.1), which needs no password: libpq
        tells a failed connection in words alone, in whatever language the server has.
        """
        from psycopg import ProgrammingError
        from psycopg.conninfo import make_conninfo
        from psycopg.pq import PGconn, Ping

        _, parameters = self._writing.dialect.create_connect_args(self._writing.url)
        parameters.pop("context", None)  # psycopg's own, nothing that libpq knows
        parameters["connect_timeout"] = _PING_TIMEOUT_S
        try:
            where = make_conninfo(**parameters).encode()
        except ProgrammingError:
            return False  # a parameter that libpq does not know
        return PGconn.ping(where) in {Ping.NO_RESPONSE, Ping.REJECT}

    def exists(self) -> bool:
        """Return whether the database has the ledger's tables. Raises LedgerUnavailableError."""
        try:
            with self._reading.connect() as connection:
                return inspect(connection).has_table(MetaRow.__tablename__)
        except SQLAlchemyError as error:
            raise self.refused(error) from error

    @property
    def is_upgraded_unasked(self) -> bool:
        """Return False: other hosts may be at work with it."""
        return False

    def alone(self) -> AbstractContextManager[None]:
        """Do nothing: the lock of the transaction is enough."""
        return nullcontext()

    def keep(self, version: int) -> Path | None:
        """Keep nothing: a server is backed up by its own tools, and by whoever runs it."""
        del version
        return None

    def after_creation(self, connection: Connection) -> None:
        """Add the tables and functions of Procrastinate."""
        install(connection)

    def number_on(self, connection: Connection) -> None:
        """Set the sequence of each table that numbers its rows."""
        for table in METADATA.tables.values():
            column = table.autoincrement_column
            if column is None:
                continue
            sequence = func.pg_get_serial_sequence(table.name, column.name)
            highest = select(func.max(column)).scalar_subquery()
            connection.execute(select(func.setval(sequence, highest)))

    def copy_to(self, path: Path) -> None:
        """Refuse: the server's own tools copy it."""
        del path
        raise LedgerUnavailableError(
            f"The ledger {self.place} is copied by PostgreSQL's own tools: "
            "pg_dump --format=custom --file=FILE, or the server's backup"
        )

    def refused(self, error: SQLAlchemyError) -> LedgerUnavailableError:
        """Return the server's words where they cannot quote a value, else their kind."""
        state = getattr(getattr(error, "orig", None), "sqlstate", None)
        return LedgerUnavailableError(
            f"The ledger {self.place} refused: {_words(error, state)}",
            advice=_ADVICE.get(state or "", ""),
        )

    def faults(self, session: Session) -> tuple[str, ...]:
        """Return nothing: the server lets no key point nowhere, and checks its own files."""
        del session
        return ()

    def _add_password(
        self,
        _dialect: Dialect,
        _record: ConnectionPoolEntry,
        _arguments: list[Any],
        parameters: dict[str, Any],
    ) -> None:
        """Read the password for each connection anew, so that it can be changed."""
        if self._place.secret_file is None:
            return
        try:
            parameters["password"] = read_secret(self._place.secret_file)
        except SecretFileError as error:
            raise LedgerUnavailableError(f"The ledger {self.place}: {error}") from error


def _words(error: SQLAlchemyError, state: str | None) -> str:
    if not isinstance(error, DBAPIError) or error.orig is None:
        return type(error).__name__
    if state is None:  # the connection failed: libpq's words, which hold no password
        return str(error.orig).strip().splitlines()[0]
    if state.startswith(_WORDS_WITHOUT_VALUES):
        diagnosis = getattr(error.orig, "diag", None)
        return str(getattr(diagnosis, "message_primary", None) or state)
    return f"{type(error.orig).__name__} (SQLSTATE {state})"


def _url(place: PostgresqlPlace) -> URL:
    try:
        return make_url(place.url).set(drivername="postgresql+psycopg")
    except ArgumentError as error:
        raise LedgerUnavailableError(f"The ledger {place} is no URL that can be read") from error


def _set_up_connection(connection: Any, _record: ConnectionPoolEntry) -> None:  # noqa: ANN401 - psycopg is not there on every node
    from dicom_node.jobs.postgresql_values import teach

    teach(connection)
    connection.autocommit = True
    for setting in _SESSION:
        connection.execute(setting)
    connection.autocommit = False


def _begin(connection: Connection) -> None:
    reading = connection.get_execution_options().get("read_only", False)
    connection.exec_driver_sql(_BEGIN_READING if reading else _BEGIN_WRITING)
