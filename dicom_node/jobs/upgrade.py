"""Bringing the tables of a ledger from one version of the node to another, in place."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import Script, ScriptDirectory
from sqlalchemy import Connection, select

from dicom_node.errors import LedgerVersionError
from dicom_node.jobs.database import note_version, session_of, version_in, version_of
from dicom_node.jobs.database_engine import DatabaseEngine
from dicom_node.jobs.tables import SCHEMA_VERSION, ProcessRow

#: The version that was released first; there is nothing below it.
FIRST_VERSION: Final = 1

_REVISIONS: Final = Path(__file__).parent / "migrations"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What was done to a ledger.

    Attributes
    ----------
    found : int
        The version it had.
    copy : Path or None
        Where it is as it was; None if it had the version already, or others back it up.
    """

    found: int
    copy: Path | None


def upgrade(engine: DatabaseEngine, target: int = SCHEMA_VERSION) -> Change:
    """Copy the ledger, then bring its tables up to a version, in one transaction.

    If the process dies within, the ledger is as it was, and the next one begins again; if another
    one has done it meanwhile, nothing is done.

    Raises
    ------
    LedgerVersionError
        If the ledger is of a later version, or of one that nothing leads from.
    LedgerUnavailableError
        If the database or the disk refuses.
    """
    with engine.alone():
        found = version_in(engine)
        if found == target:
            return Change(found=found, copy=None)
        if found > target or not leads_up(found):
            raise LedgerVersionError(
                f"The ledger has schema version {found}, this node brings it up to {target} from "
                f"{FIRST_VERSION} or later"
            )
        copy = engine.keep(found)
        _move(engine, found, target)
    return Change(found=found, copy=copy)


def downgrade(engine: DatabaseEngine, target: int) -> Change:
    """Copy the ledger, then bring its tables down to an earlier version, in one transaction.

    What the earlier version does not know is deleted. Raises as `upgrade`.
    """
    with engine.alone():
        found = version_in(engine)
        if not FIRST_VERSION <= target < found <= SCHEMA_VERSION:
            raise LedgerVersionError(
                f"The ledger has schema version {found}; this node brings ledgers of up to "
                f"{SCHEMA_VERSION} down to {FIRST_VERSION} or more, not this one to {target}"
            )
        copy = engine.keep(found)
        _move(engine, found, target)
    return Change(found=found, copy=copy)


def at_work(engine: DatabaseEngine, *, since: datetime) -> tuple[str, ...]:
    """Return the processes that use the ledger and were seen since then."""
    living = select(ProcessRow).where(ProcessRow.ended_at.is_(None), ProcessRow.seen_at >= since)
    with session_of(engine, engine.reading) as session:
        rows = session.scalars(living.order_by(ProcessRow.host, ProcessRow.name))
        return tuple(f"{row.name} on {row.host}" for row in rows)


def _move(engine: DatabaseEngine, found: int, target: int) -> None:
    with session_of(engine, engine.rebuilding) as session:
        if version_of(session) != found:  # another host was quicker
            return
        scripts = _between(min(found, target), max(found, target))
        for script in reversed(scripts) if target > found else scripts:
            _run(session.connection(), script, up=target > found)
        if faults := engine.faults(session):
            raise LedgerVersionError(f"Version {target} would not be sound: {'; '.join(faults)}")
        note_version(session, target)


def leads_up(found: int) -> bool:
    """Return whether there is a way from this version to the present one."""
    return FIRST_VERSION <= found <= SCHEMA_VERSION


def make_version(connection: Connection, version: int) -> None:
    """Make the tables of a version where there are none, as its revisions made them."""
    for script in reversed(_between(0, version)):
        _run(connection, script, up=True)


def _between(low: int, high: int) -> list[Script]:
    """Return the revisions above `low` and up to `high`, the latest first."""
    scripts = ScriptDirectory(str(_REVISIONS), version_locations=[str(_REVISIONS)])
    return [one for one in scripts.walk_revisions() if low < int(one.revision) <= high]


def _run(connection: Connection, script: Script, *, up: bool) -> None:
    with Operations.context(MigrationContext.configure(connection)):
        if up:
            script.module.upgrade()
        else:
            script.module.downgrade()
