"""``ichnode compare``: two folders, what is written, and how it ends."""

import json

import pydicom
import pytest
from comparison_builder import LARGE, SMALL, KnowingModels, scan
from growth_builder import growth_card
from typer.testing import CliRunner

from dicom_node.cli.app import app
from dicom_node.commands.compare import ScanChoice, run
from dicom_node.operator_error import ExitCode, OperatorError

#: A whole card, of which the command takes what can change a result.
CARD = growth_card(name="knowing")


def compared(tmp_path, before, after, **options):
    """Run the command on two folders with models that know."""
    wanted = {"segmentation": None, "with_ventricles": None, "config": None} | options
    return run(
        ScanChoice(folder=before),
        ScanChoice(folder=after),
        output=tmp_path / "out",
        load=lambda _settings: KnowingModels(balls=[SMALL, LARGE], segmentation_card=CARD),
        **wanted,
    )


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    folder = tmp_path_factory.mktemp("command")
    scan(folder / "monday", SMALL, seed=1, time="20260105080000")
    scan(folder / "tuesday", LARGE, seed=2, time="20260106080000")
    scan(folder / "stranger", LARGE, seed=3, time="20260106080000", changed={"PatientID": "X"})
    return folder


def test_two_folders_become_objects_and_a_summary(folders, tmp_path, capsys):
    """Four objects, three files for people, the verdict on standard output."""
    code = compared(tmp_path, folders / "monday", folders / "tuesday", with_ventricles=True)

    said = capsys.readouterr().out
    record = json.loads((tmp_path / "out" / "comparison.json").read_text(encoding="utf-8"))
    assert code == ExitCode.OK
    assert record["definition"] == "revised"
    assert record["elapsed_hours"] == 24.0
    assert "expanded (growth by more than 6 ml, growth by more than 33 %)" in said
    assert "RESEARCH USE ONLY" in said
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "baseline-segmentation.dcm",
        "follow-up-segmentation.dcm",
        "side-by-side.dcm",
        "report.dcm",
        "summary.png",
        "summary.html",
        "comparison.json",
    }
    assert pydicom.dcmread(tmp_path / "out" / "report.dcm").Modality == "SR"


def test_two_patients_are_refused(folders, tmp_path, capsys):
    """Exit code 3, the reason, no object."""
    code = compared(tmp_path, folders / "monday", folders / "stranger")

    assert code == ExitCode.REJECTED
    assert "Patient ID of the two series differ" in capsys.readouterr().out
    assert not list((tmp_path / "out").glob("*.dcm"))


def test_a_folder_that_is_not_there_is_named(tmp_path):
    """Before any model is loaded."""
    with pytest.raises(OperatorError, match="does not exist"):
        compared(tmp_path, tmp_path / "nothing", tmp_path / "nothing")


def test_the_command_is_called_as_the_manual_says():
    """Two folders and an output are needed."""
    result = CliRunner().invoke(app, ["compare", "monday"])

    assert result.exit_code == 2
