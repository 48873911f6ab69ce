"""``ichnode backup``: a copy of the ledger while the node works."""

import pytest
from node_builders import Clock, arrive, opened_ledger, small_series
from typer.testing import CliRunner

from dicom_node.bootstrap.layout import DataLayout
from dicom_node.cli.app import app
from dicom_node.operator_error import OperatorError


@pytest.fixture
def layout(tmp_path):
    layout = DataLayout(root=tmp_path / "data")
    layout.prepare()
    (tmp_path / "node.toml").write_text(f'[node]\ndata_dir = "{layout.root}"\n')
    return layout


def backup(layout, file):
    config = str(layout.root.parent / "node.toml")
    return CliRunner().invoke(app, ["backup", str(file), "--config", config])


def test_the_copy_is_the_ledger_of_that_moment(layout, tmp_path):
    """It is taken while another process has the ledger open, and what comes later is not in it."""
    copy = tmp_path / "copy.sqlite"
    with opened_ledger(layout.ledger) as ledger:
        arrive(ledger, small_series(3), Clock())
        done = backup(layout, copy)
        arrive(ledger, small_series(2, seed=5, study_uid="1.2.5"), Clock())
        salt = ledger.patient_salt

    assert done.exit_code == 0, done.output
    assert copy.stat().st_mode & 0o777 == 0o600
    with opened_ledger(copy) as copied:
        assert len(copied.arrivals.known_paths()) == 3
        assert copied.patient_salt == salt


def test_a_file_that_is_there_is_not_overwritten(layout, tmp_path):
    """An older backup is worth more than a command that was typed twice."""
    copy = tmp_path / "copy.sqlite"
    copy.write_text("older")
    with opened_ledger(layout.ledger):
        pass

    done = backup(layout, copy)

    assert isinstance(done.exception, OperatorError)
    assert str(copy) in str(done.exception)
    assert copy.read_text() == "older"
