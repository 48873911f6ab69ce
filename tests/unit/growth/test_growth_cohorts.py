"""Whose scans become pairs: from imported cohorts, from simulated heads, by the command line."""

import csv
import json

import numpy as np
import pytest
from typer.testing import CliRunner

from tests.growth_builder import COARSE, case_of, lopsided_head
from tests.small_phantom import small_patient
from training.cli import application
from training.cohort.case import Case, save_case
from training.growth.followed import followed_of
from training.growth.pair import load_pair, load_shrunk, pair_paths
from training.phantom.cohort import read_records, write_cohort
from training.phantom.patient import PhantomOptions


def named(case: Case, patient: str, time_point: str) -> Case:
    return Case(
        case_id=f"{patient}-{time_point}",
        patient_id=patient,
        source="tests",
        hu_zyx=case.hu_zyx,
        label_zyx=case.label_zyx,
        spacing_zyx_mm=case.spacing_zyx_mm,
    )


@pytest.fixture
def imported(tmp_path):
    """Return an imported cohort: one hematoma that grew from 14 to 29 mL, one that stayed."""
    folder = tmp_path / "cohort"
    folder.mkdir()
    rows = []
    for patient, radii in (("grew", (15.0, 19.0)), ("stayed", (15.0, 15.0))):
        for time_point, radius, hours in zip(
            ("baseline", "follow_up"), radii, ("", "24"), strict=True
        ):
            hu, blood = lopsided_head(radius_mm=radius, spacing=COARSE)
            case = named(case_of(hu, blood, "x", COARSE), patient, time_point)
            save_case(folder, case)
            rows.append(
                {
                    "patient_id": patient,
                    "scan_id": case.case_id,
                    "time_point": time_point,
                    "hours_after_baseline": hours,
                    "hematoma_ml": f"{case.hematoma_ml:.3f}",
                    "excluded": "",
                }
            )
    with (folder / "cohort.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return folder


def test_an_imported_cohort_names_baseline_and_follow_up(imported):
    """Volumes are the table's; the scans are read and brought to the wanted grid."""
    grew, stayed = followed_of(imported)

    baseline, follow_up = grew.read((5.0, 10.0, 10.0))

    assert (grew.patient_id, stayed.patient_id) == ("grew", "stayed")
    assert grew.follow_up_ml > 1.9 * grew.baseline_ml
    assert stayed.follow_up_ml == stayed.baseline_ml
    assert baseline.spacing_zyx_mm == (5.0, 10.0, 10.0)
    assert follow_up.case_id == "grew-follow_up"


def test_simulated_heads_are_pairs_without_an_import(tmp_path):
    """Volumes are the records'; patients without a second scan do not count."""
    cohort = tmp_path / "heads"
    for index, with_follow_up in ((1, True), (2, False)):
        options = PhantomOptions(follow_up=with_follow_up)
        list(
            write_cohort(
                patients=1,
                seed=1,
                output=cohort,
                options=options,
                first_index=index,
                simulate=small_patient,
            )
        )

    (one,) = followed_of(cohort)
    baseline, follow_up = one.read((5.0, 1.0, 1.0))

    record = read_records(cohort)[0]
    assert one.patient_id == "heads-SIM0001"
    assert (one.baseline_ml, one.follow_up_ml) == (record["baseline_ml"], record["follow_up_ml"])
    assert (baseline.case_id, follow_up.case_id) == (
        "heads-SIM0001-baseline",
        "heads-SIM0001-follow_up",
    )


def test_prepare_makes_pairs_of_a_cohort(imported, tmp_path):
    """One patient grew and becomes a pair with a made baseline, the other is named as left out."""
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(
        "spacing_zyx_mm = [5.0, 5.0, 5.0]\npatch_size_zyx = [8, 8, 8]\nwidths = [2, 2]\n"
        "[shrinking]\nvariants = 1\nerosion_mm = 2.5\n"
    )
    words = ["--cohort", imported, "--output", tmp_path / "pairs", "--recipe", recipe]

    found = CliRunner().invoke(application(), ["growth", "prepare", *map(str, words)])

    assert found.exit_code == 0, found.output
    assert "1 pairs in" in found.output
    assert "1 left out" in found.output
    (path,) = pair_paths(tmp_path / "pairs")
    pair = load_pair(path)
    assert np.count_nonzero(pair.ring_zyx) > 0
    assert load_shrunk(tmp_path / "pairs", "grew")[0].of(pair).baseline_ml < pair.baseline_ml
    stated = json.loads((tmp_path / "pairs" / "preparation.json").read_text())
    assert stated["spacing_zyx_mm"] == [5.0, 5.0, 5.0]
