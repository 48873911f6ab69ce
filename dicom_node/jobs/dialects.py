"""SQL that the two databases spell differently."""

from typing import TYPE_CHECKING, Any

from sqlalchemy import String
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import InstrumentedAttribute, Session
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

if TYPE_CHECKING:
    from sqlalchemy.dialects import postgresql, sqlite


def insert_or_update(
    session: Session,
    table: type[Any],
    values: dict[str, Any],
    *,
    adding: str,
) -> None:
    """Insert a row; if its key is there, add its column `adding` to what stands there."""
    row = _insert(session, table).values(values)
    column = table.__table__.c[adding]
    session.execute(
        row.on_conflict_do_update(
            index_elements=list(table.__table__.primary_key),
            set_={adding: column + row.excluded[adding]},
        )
    )


def _insert(session: Session, table: type[Any]) -> "postgresql.Insert | sqlite.Insert":
    """Return the statement in the words of its database; of the other one nothing is loaded."""
    if session.get_bind().dialect.name == "postgresql":
        from sqlalchemy.dialects import postgresql

        return postgresql.insert(table)
    from sqlalchemy.dialects import sqlite

    return sqlite.insert(table)


class RecordStatus(FunctionElement[str]):
    """The ``status`` of a job's record, which is JSON or empty; null if it names none."""

    type = String()
    inherit_cache = True

    def __init__(self, record: InstrumentedAttribute[str]) -> None:
        super().__init__(record)


@compiles(RecordStatus, "sqlite")
def _in_sqlite(element: RecordStatus, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401 - the signature of SQLAlchemy
    record = compiler.process(element.clauses, **options)
    return f"json_extract(nullif({record}, ''), '$.status')"


@compiles(RecordStatus, "postgresql")
def _in_postgresql(element: RecordStatus, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401 - the signature of SQLAlchemy
    # Python writes numbers that JSON does not know; PostgreSQL would refuse the whole record.
    record = compiler.process(element.clauses, **options)
    lawful = rf"regexp_replace({record}, '\m(NaN|Infinity)\M', '0', 'g')"
    return f"(CAST(nullif({lawful}, '') AS json) ->> 'status')"
