"""`ichnode ledger` shows the version of the tables and changes it when nobody is at work."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from node_builders import opened_ledger, process_identity
from typer.testing import CliRunner

from dicom_node.bootstrap.layout import DataLayout
from dicom_node.bootstrap.roles import utc_now
from dicom_node.cli.app import app
from dicom_node.operator_error import OperatorError

pytestmark = pytest.mark.sqlite


@pytest.fixture
def layout(tmp_path):
    layout = DataLayout(root=tmp_path / "data")
    layout.prepare()
    (tmp_path / "node.toml").write_text(f'[node]\ndata_dir = "{layout.root}"\n')
    with opened_ledger(layout.ledger):
        pass
    return layout


def ledger(layout, *words):
    config = str(layout.root.parent / "node.toml")
    return CliRunner().invoke(app, ["ledger", *words, "--config", config])


def test_down_and_up_again(layout):
    """Each says what it was, what it is, and where the copy lies; show agrees."""
    down = ledger(layout, "downgrade", "1", "--yes")
    assert down.exit_code == 0, down.output
    told = " ".join(down.output.split())
    assert "had version 2 and has version 1" in told
    assert (layout.root / "ledger.sqlite.version-2").is_file()
    assert ledger(layout, "show").exit_code == 1

    up = ledger(layout, "upgrade")
    assert up.exit_code == 0, up.output
    shown = ledger(layout, "show")
    assert (shown.exit_code, "version: 2" in shown.output) == (0, True)


def test_a_node_at_work_is_not_pulled_from_under(layout):
    """It is named; nothing is changed."""
    with opened_ledger(layout.ledger) as opened:
        opened.presence.enter(process_identity(), utc_now())
        refused = ledger(layout, "downgrade", "1", "--yes")

    assert isinstance(refused.exception, OperatorError)
    assert "receiver on here" in str(refused.exception)
    assert _versions(layout) == [("2",)]


def test_a_newer_command_does_not_upgrade_the_ledger_of_a_node_at_work(layout):
    """It says who works with it; once nobody does, it brings the ledger up."""
    ledger(layout, "downgrade", "1", "--yes")
    now = utc_now().isoformat(timespec="microseconds")
    works = "INSERT INTO processes VALUES ('t', 'worker-0', 'ct', 1, ?, ?, NULL)"
    _write(layout, works, now, now)

    refused = _status(layout)
    assert isinstance(refused.exception, OperatorError)
    assert "worker-0 on ct" in str(refused.exception)
    assert _versions(layout) == [("1",)]

    _write(layout, "UPDATE processes SET ended_at = ?", now)
    assert _status(layout).exit_code == 0
    assert _versions(layout) == [("2",)]


def test_nothing_is_upgraded_where_nobody_worked(tmp_path):
    """The command makes no ledger."""
    config = Path(tmp_path / "node.toml")
    config.write_text(f'[node]\ndata_dir = "{tmp_path / "data"}"\n')
    refused = CliRunner().invoke(app, ["ledger", "show", "--config", str(config)])

    assert "no node has worked" in str(refused.exception)
    assert not (tmp_path / "data").exists()


def _versions(layout):
    with closing(sqlite3.connect(layout.ledger)) as connection:
        return connection.execute(
            "SELECT value FROM ledger_meta WHERE key = 'schema_version'"
        ).fetchall()


def _write(layout, statement, *values):
    with closing(sqlite3.connect(layout.ledger)) as connection, connection:
        connection.execute(statement, values)


def _status(layout):
    config = str(layout.root.parent / "node.toml")
    return CliRunner().invoke(app, ["status", "--config", config])
