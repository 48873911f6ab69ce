"""Triplets of an imported cohort: outcome by growth, excluded scans out, the split kept."""

import csv
import json

import numpy as np
import pytest
from typer.testing import CliRunner

from pipeline.prediction import HeLabel
from pipeline.slice_input import SliceInput
from training.classification.case import load_cases
from training.classification.command import APP
from training.classification.imported_cohort import followed_patients, read_imported_cases
from training.cohort.case import Case, save_case

SPACING_ZYX_MM = (5.0, 0.5, 0.5)


def row(patient, time_point, ml, *, excluded="", hours=""):
    """Return a row of cohort.csv with what is read of it."""
    return {
        "patient_id": patient,
        "scan_id": f"{patient}-{time_point}-{hours}",
        "time_point": time_point,
        "hours_after_baseline": hours,
        "hematoma_ml": ml,
        "excluded": excluded,
    }


@pytest.fixture
def cohort(tmp_path):
    """Return a cohort of five patients, three of whom were followed."""
    rows = [
        *(row("grew", "baseline", "10.0"), row("grew", "follow_up", "17.0", hours="24")),
        *(row("third", "baseline", "3.0"), row("third", "follow_up", "4.1", hours="20")),
        *(row("stayed", "baseline", "30.0"), row("stayed", "follow_up", "45.0", hours="6")),
        row("stayed", "follow_up", "35.9", hours="30"),
        *(row("alone", "baseline", "12.0"), row("out", "baseline", "9.0", excluded="age")),
        row("out", "follow_up", "20.0", hours="24"),
    ]
    folder = tmp_path / "cohort"
    folder.mkdir()
    with (folder / "cohort.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    label = np.zeros((7, 60, 70), dtype=np.uint8)
    label[2:5, 20:40, 25:45] = 1
    label[[2, 4], 20, 25] = 0  # so that the middle one is the largest
    for one in rows:
        save_case(
            folder,
            Case(
                case_id=one["scan_id"],
                patient_id=one["patient_id"],
                source="test",
                hu_zyx=np.where(label == 1, 60, 30).astype(np.int16),
                label_zyx=label,
                spacing_zyx_mm=SPACING_ZYX_MM,
            ),
        )
    (folder / "splits.json").write_text(json.dumps({"train": ["grew", "third", "stayed"]}))
    return folder


def test_the_outcome_is_growth_of_six_ml_or_a_third(cohort):
    """10 to 17 mL and 3 to 4.1 mL are HE; 30 to 35.9 mL at the last scan is not."""
    found = {one.patient_id: one.label for one in followed_patients(cohort)}

    assert found == {"grew": HeLabel.HE, "third": HeLabel.HE, "stayed": HeLabel.NHE}


def test_triplets_are_cut_around_the_masks(cohort):
    """Squares of 10 mm and twice the margin of 5 mm; masks of 20 x 20 pixels less a corner."""
    patients = followed_patients(cohort)

    found = list(read_imported_cases(cohort, patients, how=SliceInput(margin_mm=5)))

    assert len(found) == 3
    for case in found:
        assert case.cut == "square 5 mm"
        assert [image.shape for image in case.images_yx] == [(40, 40)] * 3
        assert [int(mask.sum()) for mask in case.masks_yx] == [399, 400, 399]


def test_the_command_cuts_and_copies_the_split(cohort, tmp_path):
    """Once more is harmless; masks and cut survive the file."""
    arguments = ["triplets", "--cohort", str(cohort), "--output", str(tmp_path / "out")]

    for _ in range(2):
        ran = CliRunner().invoke(APP, arguments)
        assert ran.exit_code == 0, ran.output

    found = load_cases([tmp_path / "out"])
    assert [one.patient_id for one in found] == ["grew", "stayed", "third"]
    assert found[0].cut == "square 10 mm"
    assert found[0].masks_yx[1].sum() == 400
    assert (tmp_path / "out/splits.json").read_text() == (cohort / "splits.json").read_text()


def test_a_cohort_without_follow_ups_has_no_outcome(cohort):
    """Nobody can say who expanded."""
    rows = (cohort / "cohort.csv").read_text().splitlines()
    (cohort / "cohort.csv").write_text("\n".join(one for one in rows if "follow_up" not in one))

    with pytest.raises(ValueError, match="no patient with segmented"):
        followed_patients(cohort)
