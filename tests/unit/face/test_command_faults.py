"""What the person at the keyboard is told when the node itself is at fault."""

import sqlite3
import sys

import pytest
from node_builders import opened_ledger

from dicom_node.cli import app as cli

SITE = """[node]
data_dir = "{folder}"
"""


def test_a_ledger_that_refuses_is_named_with_its_reason(tmp_path, monkeypatch, capsys):
    """Which file, what SQLite says of it, and what examines it; no stack of calls."""
    config = tmp_path / "node.toml"
    config.write_text(SITE.format(folder=tmp_path))
    with opened_ledger(tmp_path / "ledger.sqlite"):
        pass
    damaged = sqlite3.connect(tmp_path / "ledger.sqlite")
    damaged.execute("ALTER TABLE series RENAME COLUMN flags TO flogs")
    damaged.close()
    monkeypatch.setattr(sys, "argv", ["ichnode", "status", "--config", str(config)])

    with pytest.raises(SystemExit) as ended:
        cli.main()

    said = capsys.readouterr().err
    assert ended.value.code == 1
    assert str(tmp_path / "ledger.sqlite") in said
    assert "no such column: series.flags" in said
    assert "ichnode verify" in said
    assert "should not have happened" not in said
