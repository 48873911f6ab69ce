"""Claims about the command line of training."""

import subprocess
import sys
from pathlib import Path

from typer.testing import CliRunner

from training.cli import application


def test_help_shows_the_phantom_command() -> None:
    """The rooms' commands are listed."""
    result = CliRunner().invoke(application(), ["--help"])

    assert result.exit_code == 0
    assert "phantom" in result.output


def test_help_of_phantom_teaches_by_example() -> None:
    """Somebody who reads only the help can simulate a cohort."""
    result = CliRunner().invoke(application(), ["phantom", "--help"])

    assert result.exit_code == 0
    assert "ichtrain phantom --patients 20 --seed 7 --output heads" in result.output


def test_asking_for_help_loads_nothing_heavy() -> None:
    """Neither networks nor arrays are imported to print a help page."""
    script = (
        "import sys; from training.cli import application; application(); "
        "print(sorted({'torch', 'numpy', 'scipy', 'pydicom', 'matplotlib'} & set(sys.modules)))"
    )

    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )

    assert done.stdout.strip() == "[]"


def test_an_output_folder_must_be_given() -> None:
    """Nothing is written to a place that nobody named."""
    result = CliRunner().invoke(application(), ["phantom", "--patients", "1"])

    assert result.exit_code == 2
    assert "--output" in result.output


def test_a_file_that_is_no_head_is_refused_with_a_word(tmp_path: Path) -> None:
    """A folder without DICOM is named as the fault of --anatomy, without a traceback."""
    empty = tmp_path / "empty"
    empty.mkdir()
    arguments = ["phantom", "--output", str(tmp_path / "out"), "--anatomy", str(empty)]

    result = CliRunner().invoke(application(), arguments)

    assert result.exit_code == 2
    assert "No DICOM instance" in result.output
