"""That the patient of the demonstration is as typical as it says."""

import re
from pathlib import Path
from statistics import median

from dicom_node.commands.demo_patient import TABLE, TYPICAL, how_typical, simulator_options

ROW = re.compile(r"\| (?P<seed>2\d{4}) \|.*?\| (?P<truth>[\d.]+) \| (?P<found>[\d.]+) \| [-+]")


def errors():
    """Return the error of each patient's volume in the table of the documentation, as a share."""
    text = (Path(__file__).parents[3] / TABLE).read_text(encoding="utf-8")
    return {
        int(row["seed"]): abs(float(row["found"]) / float(row["truth"]) - 1)
        for row in ROW.finditer(text)
    }


def test_half_of_the_patients_are_measured_better_and_half_worse():
    """Thirty are in the table; the one that is shown has no more than 15 on either side."""
    found = errors()
    shown = found.pop(TYPICAL)

    better, worse = (
        sum(one < shown for one in found.values()),
        sum(one > shown for one in found.values()),
    )
    assert len(found) == 29
    assert {better, worse} == {14, 15}
    assert abs(shown - median(found.values())) < 0.03


def test_it_says_so_of_this_patient_only():
    """Of another seed the demonstration only names the table."""
    assert "typical" in how_typical(TYPICAL)
    assert "typical" not in how_typical(TYPICAL + 1)
    assert TABLE in how_typical(TYPICAL + 1)


def test_the_table_was_made_with_the_options_of_the_demonstration():
    """The page names them, so that anybody can repeat it."""
    text = (Path(__file__).parents[3] / TABLE).read_text(encoding="utf-8")

    options = simulator_options(Path("OUT"), seed=TYPICAL)
    for option in ("--slice-thickness 5", "--extra-axial 0", "--no-follow-up"):
        assert option in text
        assert option in " ".join(options)
