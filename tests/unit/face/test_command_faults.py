"""What the person at the keyboard is told when the node itself is at fault."""

import os
import sqlite3
import sys

import pytest
from node_builders import opened_ledger

from dicom_node.bootstrap.layout import DataLayout
from dicom_node.bootstrap.node_models import load_node_models
from dicom_node.cli import app as cli
from dicom_node.settings.schema import Settings
from pipeline.errors import ModelBundleError

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


def test_a_folder_that_may_not_be_written_is_named_with_the_account(tmp_path, monkeypatch):
    """Before anything else begins; the tester may be root, who may write everywhere."""
    layout = DataLayout(root=tmp_path / "data")
    layout.prepare()
    monkeypatch.setattr(os, "access", lambda path, _wanted: path != layout.spool)

    with pytest.raises(PermissionError) as refused:
        layout.prepare()

    assert refused.value.filename == str(layout.spool)
    assert f"uid {os.geteuid()}" in str(refused.value)


def test_models_that_cannot_be_loaded_are_named_as_the_settings_have_them(tmp_path):
    """A folder that is gone, and every bundle that was asked for."""
    settings = Settings.model_validate({"worker": {"segmentation_bundle": str(tmp_path)}})

    with pytest.raises(ModelBundleError) as refused:
        load_node_models(settings)

    assert f"{tmp_path}/card.json cannot be read" in str(refused.value)
    assert f"[worker] in the settings: bundles {tmp_path}, demo-classification" in str(
        refused.value
    )
