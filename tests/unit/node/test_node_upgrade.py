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
from dicom_node.jobs import upgrade as upgrading
from dicom_node.jobs.database import Database, engine_of
from dicom_node.jobs.office import AssemblyOffice
from dicom_node.jobs.state import JobKind, JobState
from dicom_node.jobs.tables import SCHEMA_VERSION

pytestmark = pytest.mark.sqlite

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


def version(path):
    """Return the version that a file names, and whether SQLite finds it sound."""
    with closing(sqlite3.connect(path)) as connection:
        (found,) = connection.execute(
            "SELECT value FROM ledger_meta WHERE key = 'schema_version'"
        ).fetchone()
        (sound,) = connection.execute("PRAGMA integrity_check").fetchone()
    return int(found), sound


def test_the_old_file_is_copied_before_it_is_changed(old_ledger):
    """The copy has the tables of version 1 and is the node's own to read."""
    before = schema(old_ledger)
    with opened_ledger(old_ledger):
        pass

    copy = old_ledger.with_name("ledger.sqlite.version-1")
    assert (version(copy), schema(copy)) == ((1, "ok"), before)
    assert copy.stat().st_mode & 0o777 == 0o600
    assert version(old_ledger) == (SCHEMA_VERSION, "ok")


def test_an_upgrade_that_is_cut_off_begins_again(old_ledger, monkeypatch):
    """Whatever the last revision had done is undone; the next opening does it all."""
    before = schema(old_ledger)
    with monkeypatch.context() as cut:
        cut.setattr(upgrading, "note_version", _cut_off)
        with pytest.raises(KeyboardInterrupt):
            Database(old_ledger)
    assert (version(old_ledger)[0], schema(old_ledger)) == (1, before)

    with opened_ledger(old_ledger) as ledger:
        assert ledger.database.version == SCHEMA_VERSION


def _cut_off(_session, _version):
    raise KeyboardInterrupt


def test_a_ledger_goes_down_to_version_1_and_up_again(old_ledger, clock):
    """Tables and analyses are those of before; a copy of version 2 stays."""
    before = schema(old_ledger)
    with opened_ledger(old_ledger) as ledger:
        arrive(ledger, small_series(), clock)
    engine = engine_of(old_ledger)

    down = upgrading.downgrade(engine, 1)

    assert (down.found, version(down.copy)[0]) == (2, 2)
    assert (version(old_ledger), schema(old_ledger)) == ((1, "ok"), before)
    engine.writing.dispose()
    with opened_ledger(old_ledger) as ledger:
        assert len(ledger.reports.overview().series) == 2
        assert ledger.database.version == SCHEMA_VERSION


def test_a_comparison_goes_with_the_version_that_knows_it(old_ledger):
    """Version 1 would take it for an analysis; what a peer committed to it has accepted."""
    with opened_ledger(old_ledger), closing(sqlite3.connect(old_ledger)) as connection:
        connection.executescript(
            """
            INSERT INTO jobs (job_id, series_uid, study_uid, input_digest, state, reason, flags,
                priority, attempts, token, created_at, available_at, claimed_by, record, kind,
                baseline_job_id, analysis_job_id)
            VALUES (3, '1.2', '1', 'k', 'queued', '', '', -10, 0, 0,
                '2026-01-05T08:00:00.000000+00:00', '2026-01-05T08:00:00.000000+00:00', '', '',
                'comparison', 1, 2);
            """
        )
    upgrading.downgrade(engine_of(old_ledger), 1)

    with closing(sqlite3.connect(old_ledger)) as connection:
        assert connection.execute("SELECT job_id FROM jobs").fetchall() == [(1,), (2,)]


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

    assert version(old_ledger)[0] == SCHEMA_VERSION
