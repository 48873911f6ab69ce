"""Why a ledger refuses, and the advice that fits, where there is any."""

import sqlite3

import pytest
from node_builders import opened_ledger
from sqlalchemy import text

from dicom_node.errors import LedgerDamagedError, LedgerUnavailableError
from dicom_node.jobs.database import Database

pytestmark = pytest.mark.sqlite


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "ledger.sqlite"
    with opened_ledger(path):
        pass
    return path


@pytest.fixture
def database(path):
    opened = Database(path)
    yield opened
    opened.close()


def test_a_full_disk_is_told_to_make_room(database):
    """SQLite says the same words when a file may have no page more (SQLITE_FULL)."""
    with database.read() as session:
        session.execute(text("PRAGMA max_page_count = 1"))  # as many as there are already

    with pytest.raises(LedgerUnavailableError) as refused, database.write() as session:
        session.execute(text("CREATE TABLE more AS SELECT zeroblob(1000000) AS bytes"))

    assert "database or disk is full; make room on its disk" in str(refused.value)
    assert "verify" not in str(refused.value)
    assert not isinstance(refused.value, LedgerDamagedError)


def test_a_lock_that_another_holds_needs_no_advice(database, path):
    """It passes by itself; whoever reads the line need not examine anything."""
    with database.read() as session:
        session.execute(text("PRAGMA busy_timeout = 0"))
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    with pytest.raises(LedgerUnavailableError) as refused, database.write() as session:
        session.execute(text("SELECT 1"))

    other.close()
    assert str(refused.value) == f"The ledger {path} refused: database is locked"


def test_what_is_damaged_is_to_be_examined(tmp_path):
    """Here, and only here, `ichnode verify` is what helps."""
    path = tmp_path / "ledger.sqlite"
    path.write_bytes(b"this is no database" * 1000)

    with pytest.raises(LedgerDamagedError, match="not a database; `ichnode verify` examines it"):
        Database(path)
