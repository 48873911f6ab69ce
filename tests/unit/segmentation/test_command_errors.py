"""What the commands answer where a file is not there: one line that names it, no traceback."""

import pytest
from typer.testing import CliRunner

from training.cli import application

ABSENT = "/absent/place"


@pytest.mark.parametrize(
    "arguments",
    [
        ["train", "--cohort", ABSENT, "--output", "OUT"],
        ["refit", ABSENT, "--cases", ABSENT, "--output", "OUT"],
        ["detect", "OUT", "--bundle", ABSENT, "--labels", ABSENT, "--output", "OUT"],
        ["distil", "OUT", "--teacher", ABSENT, "--source", "x", "--output", "OUT"],
        ["evaluate", ABSENT, "--cases", ABSENT],
        ["calibrate-volume", ABSENT, "--cases", ABSENT],
        ["release", ABSENT, "--recipe", ABSENT, "--facts", ABSENT, "--output", "OUT"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_an_absent_file_is_named_in_one_line(arguments, tmp_path):
    """Exit status 2, and the path is in the line that says Error."""
    given = [str(tmp_path) if word == "OUT" else word for word in arguments]

    result = CliRunner().invoke(application(), ["segmentation", *given])

    assert result.exit_code == 2
    assert "Traceback" not in result.output
    (line,) = [line for line in result.output.splitlines() if line.startswith("Error: ")]
    assert ABSENT in line
    assert "[Errno" not in line


def test_facts_that_only_the_network_decides_are_refused_before_any_scan_is_looked_at(tmp_path):
    """The slow part never begins: the folders of cases are not even opened."""
    facts = tmp_path / "facts.json"
    facts.write_text('{"architecture": "mine"}')
    arguments = ["refit", ABSENT, "--cases", ABSENT, "--output", str(tmp_path / "run")]

    result = CliRunner().invoke(application(), ["segmentation", *arguments, "--facts", str(facts)])

    assert result.exit_code == 2
    assert "architecture of the card cannot be said" in result.output
    assert not (tmp_path / "run").exists()
