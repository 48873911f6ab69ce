"""Where the ledger of a campaign's node lies: a file in its folder, or a database on a server.

On a server the folder holds the address instead. A node is copied with its database, and the judge
reads both by the same plain SQL.
"""

import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Protocol

from postgresql_cluster import Cluster

from dicom_node.jobs.ledger_place import LedgerPlace, PostgresqlPlace

_FILE, _ADDRESS = "ledger.sqlite", "ledger.url"

#: A server notices within moments that a process was killed that had a connection.
_PATIENCE_S = 60.0


def place_of(data: Path) -> LedgerPlace:
    """Return where the ledger of the node in a folder lies."""
    address = data / _ADDRESS
    return PostgresqlPlace(url=address.read_text()) if address.exists() else data / _FILE


class Reader(Protocol):
    """Reads a ledger by SQL: ``?`` stands for a value, ``rowid`` for whatever tells rows apart."""

    def execute(self, statement: str, values: Sequence[object] = ()) -> "Rows":
        """Return the rows."""


class Rows(Protocol):
    """What a statement found."""

    def __iter__(self) -> Iterator[tuple]:
        """Yield the rows."""

    def fetchone(self) -> tuple | None:
        """Return the next one."""


@contextmanager
def reading(data: Path) -> Iterator[Reader]:
    """Open the ledger of the node in a folder."""
    place = place_of(data)
    if isinstance(place, Path):
        with closing(sqlite3.connect(place)) as ledger:
            yield ledger
        return
    import psycopg

    with closing(psycopg.connect(place.url, autocommit=True)) as ledger:
        yield _OnServer(ledger)


def fault_of(ledger: Reader) -> str:
    """Return what the database itself finds wrong; empty if it is sound, or cannot be asked."""
    if isinstance(ledger, _OnServer):
        return ""
    found = ledger.execute("PRAGMA integrity_check").fetchone()
    return "" if found == ("ok",) else str(found)


class _OnServer:
    """A `Reader` of PostgreSQL."""

    def __init__(self, connection) -> None:
        self._connection = connection

    def execute(self, statement: str, values: Sequence[object] = ()) -> Rows:
        written = statement.replace("?", "%s").replace("rowid", "ctid")
        return self._connection.execute(written, values or None)


class Files:
    """Ledgers in files: they come and go with their folders."""

    #: By so many hours the clock of a node may jump.
    jumps_h: tuple[int, ...] = (1, 30, 24 * 400)

    def found(self, data: Path) -> None:
        """Make ready what a new node needs."""

    def copied(self, data: Path) -> None:
        """Give a node that was copied a ledger of its own."""

    def removed(self, data: Path) -> None:
        """Forget what a node had."""


class Databases(Files):
    """Ledgers in databases of one server.

    Parameters
    ----------
    cluster
        The server.
    """

    #: Not beyond the server's own clock, by which a job that was tried before is due.
    jumps_h = (1, 30)

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster

    def found(self, data: Path) -> None:
        """Make a database and write its address down."""
        if not (data / _ADDRESS).exists():
            (data / _ADDRESS).write_text(self.cluster.fresh().url)

    def copied(self, data: Path) -> None:
        """Copy the database whose address came with the folder."""
        place = place_of(data)
        assert isinstance(place, PostgresqlPlace)
        (data / _ADDRESS).write_text(self._patiently(self.cluster.twin, place).url)

    def removed(self, data: Path) -> None:
        """Drop the database."""
        place = place_of(data)
        assert isinstance(place, PostgresqlPlace)
        self.cluster.drop(place)

    def _patiently(self, copy, place: PostgresqlPlace) -> PostgresqlPlace:
        """Copy a database once nobody is connected to it any more."""
        import psycopg

        pause, limit = threading.Event(), time.monotonic() + _PATIENCE_S
        while True:
            try:
                return copy(place)
            except psycopg.errors.ObjectInUse:
                if time.monotonic() > limit:
                    raise
                pause.wait(0.02)
