"""Claims about the centres of a simulated study."""

import csv
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from small_phantom import small_patient
from typer.testing import CliRunner

from training.cli import application
from training.cohort.intake.clinical import read_clinical
from training.phantom.centre import CENTRES, Centre, centre_of, centres_of, read_centres
from training.phantom.clinical import POOR_FROM_MM
from training.phantom.cohort import read_records, write_cohort
from training.phantom.dicom_series import dicom_instances, series_identity
from training.phantom.ideal import Estimate, IdealObserver
from training.phantom.patient import PhantomOptions
from training.phantom.scanner import ScannerHabits, draw_protocol
from training.phantom.truth import in_words, read_truth, write_truth

_EXAMPLE = Path(__file__).parents[3] / "config" / "training" / "centres.toml"


def _written(folder: Path, *, patients: int = 3, centres: tuple[Centre, ...] = CENTRES) -> None:
    options = PhantomOptions(centres=centres)
    for _ in write_cohort(
        patients=patients, seed=2, output=folder, options=options, simulate=small_patient
    ):
        pass


def test_the_example_file_says_what_the_number_three_means() -> None:
    """Somebody who copies the file starts from the built-in centres."""
    assert read_centres(_EXAMPLE) == CENTRES == centres_of("3")


@pytest.mark.parametrize("seed", [1, 7, 2026])
def test_even_a_small_cohort_has_the_shares_it_should(seed: int) -> None:
    """Of 60 patients 30, 18 and 12, give or take two, belong to centres of 50, 30 and 20 %."""
    counts = Counter(centre_of(CENTRES, seed=seed, index=i).name for i in range(1, 61))

    assert counts["north"] == pytest.approx(30, abs=2)
    assert counts["east"] == pytest.approx(18, abs=2)
    assert counts["south"] == pytest.approx(12, abs=2)


def test_centres_scan_as_they_use_to() -> None:
    """Kernel, noise and tilt of a hundred scans lie in the ranges of their centre."""
    rng = np.random.default_rng(3)
    for centre in CENTRES:
        habits = centre.scanner
        scans = [
            draw_protocol(rng, slice_thickness_mm=5.0, tilt_deg=None, top_mm=85.0, habits=habits)
            for _ in range(100)
        ]

        assert all(habits.kernel_px[0] <= one.kernel_px <= habits.kernel_px[1] for one in scans)
        assert all(habits.noise_hu[0] <= one.noise_hu <= habits.noise_hu[1] for one in scans)
        upright = np.mean([one.tilt_deg == 0 for one in scans])
        assert upright == pytest.approx(habits.upright_share, abs=0.15)  # 3 SD of 100 draws


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[[centres]]\nname = 'a'\n", "centre 1: missing key kernel, manufacturer, model, share"),
        ("[[centres]]\nname = 'a'\ncolour = 1\n", "unknown key colour"),
        ("other = 1\n", "must list tables"),
        ("[[centres]]\n[centres.scanner]\nmotion_share = 2\n", "motion_share must lie in 0 to 1"),
        ("[[centres]]\n[centres.scanner]\nnoise_hu = [3, 2]\n", "noise_hu must be a range"),
        ("[[centres]]\n[centres.scanner]\nthickness_mm = [5]\n", "thickness_shares must be as"),
        (
            "[[centres]]\nname='a'\nshare=0\nmanufacturer='m'\nmodel='m'\nkernel='k'\n",
            "share must be positive, got 0",
        ),
        (
            "[[centres]]\nname='a'\nshare=1\nmanufacturer='m'\nmodel='m'\nkernel='VERY-SHARP-KERNEL'\n",
            "kernel must have at most 16 characters",
        ),
        (2 * "[[centres]]\nname='a'\nshare=1\nmanufacturer='m'\nmodel='m'\nkernel='k'\n", "twice"),
    ],
)
def test_a_faulty_file_of_centres_is_refused_with_its_place(
    tmp_path: Path, text: str, fault: str
) -> None:
    """File, centre and key are named."""
    path = tmp_path / "centres.toml"
    path.write_text(text)

    with pytest.raises(ValueError, match=fault) as refused:
        read_centres(path)

    assert "centres.toml" in str(refused.value)


def test_thicknesses_beyond_what_can_be_simulated_are_refused() -> None:
    """The message names the limits."""
    with pytest.raises(ValueError, match=r"0\.5 to 10 mm"):
        ScannerHabits(thickness_mm=(12.0,), thickness_shares=(1.0,))


def test_a_study_has_a_table_of_charts_that_the_import_reads(tmp_path: Path) -> None:
    """Every patient has a row, all columns are understood, the ideal observer's word is kept."""
    _written(tmp_path, patients=5)

    table = read_clinical(tmp_path / "clinical.csv")
    records = {str(one["patient_id"]): one for one in read_records(tmp_path)}

    assert table.unknown_columns == ()
    assert list(table.patients) == [f"SIM{index:04d}" for index in range(1, 6)]
    for patient, facts in table.patients.items():
        assert facts.centre == centre_of(CENTRES, seed=2, index=int(patient[3:])).name
        said = records[patient]["visible_expansion_probability"]
        assert facts.ideal_he_probability == pytest.approx(said)
        assert facts.poor_quality is (small_motion_mm() >= POOR_FROM_MM)
        assert facts.antithrombotic is records[patient]["antithrombotic"]


def small_motion_mm() -> float:
    """Return how far the small patient's head moves: not at all."""
    return 0.0


def test_the_table_of_a_study_names_centre_and_scanner(tmp_path: Path) -> None:
    """Records and cohort.csv say where and with what each patient was scanned."""
    _written(tmp_path, centres=CENTRES[1:2])

    rows = list(csv.DictReader((tmp_path / "cohort.csv").read_text("utf-8").splitlines()))

    assert {row["centre"] for row in rows} == {"east"}
    assert {row["scanner"] for row in rows} == {"SIMULATED Orient Spiral 16"}
    assert all(float(row["visible_expansion_probability"]) > 0 for row in rows)


def test_without_centres_there_are_no_charts(tmp_path: Path) -> None:
    """Cohorts stay as they always were."""
    _written(tmp_path, patients=1, centres=())

    assert not (tmp_path / "clinical.csv").exists()
    assert "centre" not in read_records(tmp_path)[0]


def test_dicom_headers_tell_the_centres_apart() -> None:
    """Institution, scanner and kernel are the centre's; identifiers differ from other centres'."""
    plain = small_patient(seed=1, index=1, options=PhantomOptions())
    placed = small_patient(seed=1, index=1, options=PhantomOptions(centres=CENTRES[2:]))
    before, after = series_identity(plain, "baseline"), series_identity(placed, "baseline")

    header = next(dicom_instances(placed.baseline, identity=after))

    assert header.Manufacturer == "SIMULATED Austral"
    assert header.ManufacturerModelName == "Axial 4"
    assert header.ConvolutionKernel == "HEAD-STANDARD"
    assert header.InstitutionName == "SIMULATED south"
    assert before.manufacturer == "ichnode"
    assert before.series_uid != after.series_uid
    assert before.study_uid != after.study_uid


def test_the_truth_is_kept_as_it_was_found(tmp_path: Path) -> None:
    """Observers are read as they were written, and the printed table shows their numbers."""
    observer = IdealObserver(
        name="north",
        share=0.5,
        prevalence=Estimate(value=0.2, standard_error=0.01),
        image_auc=Estimate(value=0.8512, standard_error=0.002),
        full_auc=Estimate(value=0.9, standard_error=0.001),
    )

    write_truth(tmp_path / "new", [observer])

    assert read_truth(tmp_path / "new") == (observer,)
    assert "0.851 (0.002)" in in_words([observer])


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (["--centres", "4"], "1 to 3 built-in centres, got 4"),
        (["--centres", "nowhere.toml"], "nowhere.toml: No such file"),
        (["--truth-only"], "needs --centres"),
    ],
)
def test_the_command_refuses_centres_that_there_are_not(
    tmp_path: Path, arguments: list[str], fault: str
) -> None:
    """One line, no traceback, and nothing is simulated."""
    output = tmp_path / "out"

    result = CliRunner().invoke(application(), ["phantom", "--output", str(output), *arguments])

    assert result.exit_code == 2
    assert fault in result.output
    assert not output.exists()
