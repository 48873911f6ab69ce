"""Claims about cohorts on disk."""

import csv
from pathlib import Path

import pytest
from small_phantom import small_patient

from training.phantom.cohort import OutputFormat, read_records, write_cohort
from training.phantom.host import Host
from training.phantom.patient import PhantomOptions, SimulatedPatient


class _Counting:
    """A simulator that remembers whom it made, and may fail at one of them."""

    def __init__(self, fails_at: int | None = None) -> None:
        self.made: list[int] = []
        self._fails_at = fails_at

    def __call__(
        self, *, seed: int, index: int, options: PhantomOptions, host: Host | None = None
    ) -> SimulatedPatient:
        if index == self._fails_at:
            raise KeyboardInterrupt
        self.made.append(index)
        return small_patient(seed=seed, index=index, options=options, host=host)


def _write(folder: Path, simulate: _Counting, patients: int = 3, **settings: object) -> None:
    options = PhantomOptions(follow_up=bool(settings.pop("follow_up", True)))
    output_format = OutputFormat(str(settings.pop("output_format", "nifti")))
    for _ in write_cohort(
        patients=patients,
        seed=2,
        output=folder,
        options=options,
        output_format=output_format,
        simulate=simulate,
    ):
        pass


def test_a_cohort_has_a_folder_for_each_patient_and_a_table(tmp_path: Path) -> None:
    """Scans, labels and a record for each; the table has the same rows."""
    _write(tmp_path, _Counting())

    names = sorted(path.name for path in (tmp_path / "SIM0002").iterdir())
    rows = list(csv.DictReader((tmp_path / "cohort.csv").read_text("utf-8").splitlines()))

    assert names == [
        "baseline.nii.gz",
        "baseline_labels.nii.gz",
        "follow_up.nii.gz",
        "follow_up_labels.nii.gz",
        "patient.json",
    ]
    assert [row["patient_id"] for row in rows] == ["SIM0001", "SIM0002", "SIM0003"]
    assert all("SIMULATED" in row["notice"] for row in rows)


def test_recorded_volumes_are_those_of_the_masks(tmp_path: Path) -> None:
    """40 and 60 pixels of 0.5 x 0.5 mm in a 5 mm slice are 0.05 and 0.075 mL: growth of 50 %."""
    _write(tmp_path, _Counting(), patients=1)

    record = read_records(tmp_path)[0]

    assert record["baseline_ml"] == pytest.approx(0.05)
    assert record["follow_up_ml"] == pytest.approx(0.075)
    assert record["has_expansion"] is True


def test_an_interrupted_cohort_goes_on_where_it_stopped(tmp_path: Path) -> None:
    """Finished patients are not made again, the unfinished leave no folder behind."""
    with pytest.raises(KeyboardInterrupt):
        _write(tmp_path, _Counting(fails_at=2))
    assert [path.name for path in tmp_path.glob("SIM*")] == ["SIM0001"]

    second = _Counting()
    _write(tmp_path, second)

    assert second.made == [2, 3]
    assert len(read_records(tmp_path)) == 3
    assert not list(tmp_path.glob(".*"))


def test_dicom_comes_with_the_truth_beside(tmp_path: Path) -> None:
    """One folder of images for each scan, and the label volume."""
    _write(tmp_path, _Counting(), patients=1, output_format="dicom", follow_up=False)

    names = sorted(path.name for path in (tmp_path / "SIM0001").iterdir())

    assert names == ["baseline_dicom", "baseline_labels.nii.gz", "patient.json"]
    assert len(list((tmp_path / "SIM0001" / "baseline_dicom").iterdir())) == 4
