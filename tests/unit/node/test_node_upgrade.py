"""A ledger of an earlier version goes on where it stood.

`ledger_version_1.sql` is the schema that the node made before comparisons existed.
"""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from node_builders import arrive, opened_ledger, small_series, stored_objects

from dicom_node.intake.assembly import AssemblyRules
from dicom_node.intake.default_rules import DEFAULT_RULES
from dicom_node.jobs.office import AssemblyOffice
from dicom_node.jobs.state import JobKind, JobState
from dicom_node.jobs.tables import SCHEMA_VERSION

VERSION_1 = Path(__file__).parent / "ledger_version_1.sql"


@pytest.fixture
def old_ledger(tmp_path):
    """Return a file of version 1 with one delivered and one waiting analysis."""
    path = tmp_path / "ledger.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(VERSION_1.read_text())
        connection.executescript(
            """
            INSERT INTO ledger_meta VALUES ('schema_version', '1'), ('patient_salt', '00ff');
            INSERT INTO series (series_uid, study_uid, state, reason, calling_ae_title,
                first_received_at, last_received_at, eligible, flags)
            VALUES ('1.2', '1', 'chosen', '', 'CT', '2026-01-05T08:00:00.000000+00:00',
                '2026-01-05T08:00:00.000000+00:00', 0, '');
            INSERT INTO result_sets (result_set_id, series_uid, input_digest, model_digest,
                configuration_digest, created_at)
            VALUES (1, '1.2', 'i', 'm', 'c', '2026-01-05T08:00:00.000000+00:00');
            INSERT INTO jobs (job_id, series_uid, study_uid, input_digest, state, reason, flags,
                priority, attempts, token, created_at, available_at, claimed_by, result_set_id,
                record)
            VALUES (1, '1.2', '1', 'i', 'delivered', '', '', 0, 1, 1,
                '2026-01-05T08:00:00.000000+00:00', '2026-01-05T08:00:00.000000+00:00', '', 1,
                '{"volume_ml": 20.5}'),
                (2, '1.2', '1', 'j', 'queued', '', '', 0, 0, 0,
                '2026-01-05T08:00:00.000000+00:00', '2026-01-05T08:00:00.000000+00:00', '', NULL,
                '');
            """
        )
    return path


def schema(path):
    """Return columns, foreign keys and indices of every table, in any order."""
    with closing(sqlite3.connect(path)) as connection:
        tables = [
            name
            for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type='table'")
        ]
        return {
            table: (
                {row[1:] for row in connection.execute(f"PRAGMA table_info({table})")},
                {row[2:] for row in connection.execute(f"PRAGMA foreign_key_list({table})")},
                {row[1:4] for row in connection.execute(f"PRAGMA index_list({table})")},
            )
            for table in tables
        }


def test_an_upgraded_ledger_has_the_tables_of_a_new_one(old_ledger, tmp_path):
    """Column by column, key by key, index by index."""
    with opened_ledger(old_ledger), opened_ledger(tmp_path / "new.sqlite"):
        pass

    assert schema(old_ledger) == schema(tmp_path / "new.sqlite")


def test_what_the_old_ledger_held_is_still_there(old_ledger, clock):
    """The waiting job is an analysis, and knows what it supersedes."""
    with opened_ledger(old_ledger) as ledger:
        assert ledger.patient_salt == bytes([0x00, 0xFF])
        (series,) = ledger.reports.overview().series
        assert (series.job.job_id, series.job.state) == (2, JobState.QUEUED)

        task = ledger.jobs.claim("w", now=clock(), lease_s=60, time_limit_s=60).task

    assert (task.job_id, task.kind, task.baseline) == (2, JobKind.ANALYSIS, None)


def test_an_upgraded_ledger_takes_new_work(old_ledger, clock):
    """A series arrives, is analysed, and its results are stored."""
    with opened_ledger(old_ledger) as ledger:
        arrive(ledger, small_series(), clock)
        clock.turn(5)
        AssemblyOffice(
            ledger=ledger, assembly=AssemblyRules(), selection=DEFAULT_RULES, clock=clock
        ).tick()
        ledger.jobs.claim("w", now=clock(), lease_s=60, time_limit_s=60)
        held = ledger.jobs.claim("w", now=clock(), lease_s=60, time_limit_s=60)
        ledger.jobs.complete(
            held,
            stored_objects(),
            model_digest="m",
            configuration_digest="c",
            destinations=(),
            record={},
            now=clock(),
        )

        assert len(ledger.reports.objects(held.task.job_id)) == 3


def test_a_second_opening_changes_nothing(old_ledger):
    """The upgrade is done once; a process that waited for it finds it done."""
    with opened_ledger(old_ledger) as first, opened_ledger(old_ledger) as second:
        assert first.reports.overview() == second.reports.overview()
    with closing(sqlite3.connect(old_ledger)) as connection:
        (version,) = connection.execute(
            "SELECT value FROM ledger_meta WHERE key = 'schema_version'"
        ).fetchone()

    assert version == str(SCHEMA_VERSION)
