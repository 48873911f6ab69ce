"""All that one ledger holds, copied into an empty database: the way from a file to a server."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import (
    Connection,
    Table,
    Update,
    bindparam,
    func,
    insert,
    inspect,
    select,
    update,
)

from dicom_node.errors import LedgerUnavailableError, LedgerVersionError
from dicom_node.jobs.all_tables import METADATA
from dicom_node.jobs.database import session_of, version_of
from dicom_node.jobs.database_engine import DatabaseEngine
from dicom_node.jobs.tables import SCHEMA_VERSION

#: Rows that are in memory at a time.
_CHUNK: Final = 1000

#: Tables that a refusal names.
_MOST_NAMED: Final = 5

#: Told after each chunk: the table, and how many of its rows were copied with it.
OnRows = Callable[[str, int], None]


def copy_ledger(
    source: DatabaseEngine, target: DatabaseEngine, *, on_rows: OnRows = lambda _table, _rows: None
) -> Mapping[str, int]:
    """Copy every row in one transaction; return how many each table has.

    Nobody may work with either of them. If anything fails the target is as empty as before.

    Parameters
    ----------
    source
        The ledger; nothing in it is changed.
    target
        A database without tables.
    on_rows
        Told how far it is.

    Raises
    ------
    LedgerVersionError
        If the source is of another version.
    LedgerUnavailableError
        If the target is not empty, the source is damaged, the copy has not as many rows, or one
        of the databases refuses.
    """
    with (
        session_of(source, source.reading) as old,
        session_of(target, target.writing) as new,
    ):
        found = version_of(old)
        if found != SCHEMA_VERSION:
            raise LedgerVersionError(
                f"The ledger {source.place} has schema version {found}, only {SCHEMA_VERSION} is "
                "copied: `ichnode ledger upgrade`"
            )
        if faults := source.faults(old):
            words = f"The ledger {source.place} is damaged: {'; '.join(faults)}"
            raise LedgerUnavailableError(words)
        reads, writes = old.connection(), new.connection()
        _check_empty(writes, target.place)
        METADATA.create_all(writes)
        target.after_creation(writes)
        copied = {
            table.name: _copy(reads, writes, table, on_rows) for table in METADATA.sorted_tables
        }
        target.number_on(writes)
        return copied


def rows_in(engine: DatabaseEngine) -> int:
    """Return how many rows a ledger has in all. Raises LedgerUnavailableError."""
    with session_of(engine, engine.reading) as session:
        return sum(_count(session.connection(), table) for table in METADATA.sorted_tables)


def _check_empty(connection: Connection, place: str) -> None:
    there = sorted(set(inspect(connection).get_table_names()) & set(METADATA.tables))
    if not there:
        return
    named = ", ".join(there[:_MOST_NAMED]) + (", ..." if there[_MOST_NAMED:] else "")
    raise LedgerUnavailableError(
        f"The database {place} is not empty: it has {len(there)} tables of a ledger ({named}); "
        "nothing was copied. Make a new database, and start no node on it before"
    )


def _copy(reads: Connection, writes: Connection, table: Table, on_rows: OnRows) -> int:
    """Copy a table; what points to rows of the same one is written once all of them are there."""
    own = [
        column.name
        for column in table.columns
        if any(key.column.table is table for key in column.foreign_keys)
    ]
    keys = [column.name for column in table.primary_key.columns]
    for rows in _chunks(reads, table):
        writes.execute(insert(table), [row | dict.fromkeys(own) for row in rows])
        on_rows(table.name, len(rows))
    for rows in _chunks(reads, table) if own else ():
        pointing = [row for row in rows if any(row[name] is not None for name in own)]
        if pointing:
            bound = [{f"of_{name}": row[name] for name in (*keys, *own)} for row in pointing]
            writes.execute(_pointing(table, keys, own), bound)
    wanted, found = _count(reads, table), _count(writes, table)
    if wanted != found:
        raise LedgerUnavailableError(
            f"The copy of table {table.name} has {found} rows, the ledger {wanted}; nothing was "
            "copied. Does a node work with one of the two?"
        )
    return found


def _chunks(reads: Connection, table: Table) -> Iterator[Sequence[dict[str, Any]]]:
    ordered = select(table).order_by(*table.primary_key.columns)
    rows = reads.execute(ordered.execution_options(yield_per=_CHUNK))
    for part in rows.mappings().partitions():
        yield [dict(row) for row in part]


def _pointing(table: Table, keys: Sequence[str], own: Sequence[str]) -> Update:
    """Return what gives a row its pointers to others of the same table."""
    return (
        update(table)
        .where(*(table.c[name] == bindparam(f"of_{name}") for name in keys))
        .values({name: bindparam(f"of_{name}") for name in own})
    )


def _count(connection: Connection, table: Table) -> int:
    return connection.scalar(select(func.count()).select_from(table)) or 0
