"""Claims about charts and centres on their way into a cohort."""

import csv
from pathlib import Path

import pytest
from cohort_builder import run, series
from ct_builder import save_series
from typer.testing import CliRunner

from training.classification.imported_cohort import followed_patients
from training.cli import application
from training.cohort.intake.clinical import (
    CLINICAL_COLUMNS,
    ClinicalFacts,
    read_clinical,
    write_clinical,
)
from training.cohort.intake.tables import read_centres, write_tables
from training.phantom.ideal import Estimate, IdealObserver
from training.phantom.truth import read_truth, write_truth

_TABLE = """patient_id,centre,sex,age_years,systolic_mmhg,hypertension,shoe_size,mood
SECRETA,north,female,61,180,yes,38,good
SECRETB,south,,,,,40,
SECRETC,east,M,50,,no,41,
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Two patients without masks; a third is in the table only."""
    for number, patient in enumerate(("SECRETA", "SECRETB"), start=1):
        save_series(series(patient, seed=number), tmp_path / "source" / patient)
    (tmp_path / "charts.csv").write_text(_TABLE)
    return tmp_path / "source"


def test_a_chart_comes_back_as_it_was_written(tmp_path: Path) -> None:
    """Every column is written and read: words, numbers, yes and no, and what is not known."""
    known = ClinicalFacts(
        centre="north",
        age_years=61.5,
        sex="F",
        hypertension=True,
        diabetes=False,
        antithrombotic=True,
        systolic_mmhg=185,
        gcs=13,
        onset_to_baseline_h=2.25,
        onset_to_follow_up_h=26.5,
        spontaneous=True,
        surgery_before_follow_up=False,
        primary_ivh=False,
        poor_quality=False,
        ideal_he_probability=0.01538,
    )
    patients = {"a": known, "b": ClinicalFacts()}

    write_clinical(tmp_path / "clinical.csv", patients)

    table = read_clinical(tmp_path / "clinical.csv")
    assert table.patients == patients
    assert table.unknown_columns == ()
    assert None not in [getattr(known, name) for name in CLINICAL_COLUMNS]


def test_a_sex_that_dicom_does_not_know_is_refused_without_its_value(tmp_path: Path) -> None:
    """M, F and O are expected, in any case and written out."""
    table = tmp_path / "charts.csv"
    table.write_text("patient_id,sex\na,FEMALE\nb,zzz\n")

    with pytest.raises(ValueError, match=r"line 3, sex: M, F or O is expected") as fault:
        read_clinical(table)

    assert "zzz" not in str(fault.value)


def test_charts_and_centres_reach_the_cohort_under_pseudonyms(source, tmp_path) -> None:
    """Those who have scans have rows, by the cohort's identifiers; nobody else has."""
    output = tmp_path / "cohort"
    imported = run(source, output, clinical=tmp_path / "charts.csv")

    write_tables(output, imported)

    facts = read_clinical(output / "clinical.csv").patients
    patients = {imported.originals[one.scan_id][0]: one.patient_id for one in imported.scans}
    assert set(facts) == set(patients.values())
    assert facts[patients["SECRETA"]] == ClinicalFacts(
        centre="north", sex="F", age_years=61, systolic_mmhg=180, hypertension=True
    )
    assert read_centres(output) == {patients["SECRETA"]: "north", patients["SECRETB"]: "south"}
    for name in ("clinical.csv", "cohort.csv"):
        assert "SECRET" not in (output / name).read_text()


def test_columns_that_nobody_understands_are_named_once_and_left_out(source, tmp_path) -> None:
    """One warning for shoe_size and mood; neither is in the cohort."""
    output = tmp_path / "cohort"
    arguments = ["cohort", "import", str(source), "--output", str(output), "--spacing", "5,4,4"]

    result = CliRunner().invoke(
        application(), [*arguments, "--clinical", str(tmp_path / "charts.csv")]
    )

    assert result.exit_code == 0
    assert result.output.count("Warning") == 1
    assert "left out as not understood: shoe_size, mood" in result.output
    written = (output / "clinical.csv").read_text()
    assert "shoe_size" not in written
    assert "good" not in written


def test_an_import_without_charts_leaves_none_of_an_earlier_call(source, tmp_path) -> None:
    """The cohort says no more than the last call knew; centres are empty."""
    output = tmp_path / "cohort"
    write_tables(output, run(source, output, clinical=tmp_path / "charts.csv"))

    write_tables(output, run(source, output))

    assert not (output / "clinical.csv").exists()
    assert read_centres(output) == {}
    with (output / "cohort.csv").open() as stream:
        assert {row["centre"] for row in csv.DictReader(stream)} == {""}


def test_the_truth_of_a_simulated_study_comes_along_and_nothing_else_of_its_name(
    source, tmp_path
) -> None:
    """A file of `ichtrain phantom` is kept; any other truth.json may hold anything."""
    known = Estimate(value=0.85, standard_error=0.001)
    observer = IdealObserver(
        name="north", share=1.0, prevalence=known, image_auc=known, full_auc=known
    )
    (source / "truth.json").write_text('{"observers": [{"name": "SECRET"}]}')
    run(source, tmp_path / "cohort")
    assert not (tmp_path / "cohort" / "truth.json").exists()

    write_truth(source, [observer])
    run(source, tmp_path / "cohort")

    assert read_truth(tmp_path / "cohort") == (observer,)


def test_what_is_hidden_or_still_being_written_is_no_scan(source, tmp_path) -> None:
    """A folder in the making and a copy that begins with a dot add no patient."""
    save_series(series("SECRETD", seed=4), source / ".SIM0007.part")
    (source / "SECRETA" / "._scan.nii.gz").write_bytes(b"no image")

    imported = run(source, tmp_path / "cohort")

    assert len(imported.scans) == 2
    assert imported.strays == ()


def test_a_cohort_from_before_there_were_centres_is_still_read(tmp_path: Path) -> None:
    """The table lacks the column; nobody has a centre, and outcomes are found as before."""
    (tmp_path / "cohort.csv").write_text(
        "patient_id,scan_id,time_point,hours_after_baseline,hematoma_ml,excluded\n"
        "a,a-1,baseline,0,10,\na,a-2,follow_up,24,17,\n"
    )

    assert read_centres(tmp_path) == {}
    assert [one.follow_up_ml for one in followed_patients(tmp_path)] == [17.0]
