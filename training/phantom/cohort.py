"""A cohort of simulated patients on disk: one folder each, and one table."""

import csv
import json
import shutil
from collections.abc import Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from training.phantom.dicom_series import series_identity, write_dicom_series
from training.phantom.host import Host
from training.phantom.nifti_files import write_labels, write_picture
from training.phantom.patient import PhantomOptions, SimulatedPatient, simulate_patient
from training.phantom.record import Record, clinical_row, patient_record

RECORD_NAME, TABLE_NAME, CLINICAL_NAME = "patient.json", "cohort.csv", "clinical.csv"


class Simulate(Protocol):
    """Makes patient number `index` of a cohort."""

    def __call__(
        self, *, seed: int, index: int, options: PhantomOptions, host: Host | None = None
    ) -> SimulatedPatient:
        """Return the patient; the same numbers, the same patient."""


class OutputFormat(StrEnum):
    """How scans are written."""

    NIFTI = "nifti"
    DICOM = "dicom"
    BOTH = "both"


def write_cohort(
    *,
    patients: int,
    seed: int,
    output: Path,
    options: PhantomOptions,
    output_format: OutputFormat = OutputFormat.NIFTI,
    first_index: int = 1,
    hosts: Sequence[Host] = (),
    simulate: Simulate = simulate_patient,
) -> Iterator[Record]:
    """Simulate patients one by one and yield the record of each when its folder stands.

    A patient whose folder holds a record is not made again, so an interrupted call goes on
    where it stopped. A folder appears in one piece, by rename; the tables (that of the charts
    only for patients of centres) are rewritten after each patient from the records on disk,
    also by rename.

    Parameters
    ----------
    patients : int
        Number of patients.
    seed : int
        Seed of the cohort.
    output : Path
        Folder of the cohort; made if absent.
    options : PhantomOptions
        What kind of patients.
    output_format : OutputFormat
        NIfTI, DICOM or both.
    first_index : int
        Number of the first patient.
    hosts : sequence of Host
        Real anatomies to bleed into, taken in turn; none simulates the heads too.
    simulate : Simulate
        What makes a patient.
    """
    output.mkdir(parents=True, exist_ok=True)
    records: list[Record] = []
    for index in range(first_index, first_index + patients):
        folder = output / f"SIM{index:04d}"
        if not (folder / RECORD_NAME).is_file():
            host = hosts[index % len(hosts)] if hosts else None
            patient = simulate(seed=seed, index=index, options=options, host=host)
            _write_patient(patient, folder, output_format)
        records.append(json.loads((folder / RECORD_NAME).read_text(encoding="utf-8")))
        _write_table(output / TABLE_NAME, records)
        charts = [clinical_row(record) for record in records if "centre" in record]
        if charts:
            _write_table(output / CLINICAL_NAME, charts)
        yield records[-1]


def read_records(cohort: Path) -> list[Record]:
    """Return the records of all finished patients of a cohort, in order of their folders."""
    return [
        json.loads(path.read_text(encoding="utf-8"))
        for path in sorted(cohort.glob(f"SIM*/{RECORD_NAME}"))
    ]


def _write_patient(patient: SimulatedPatient, folder: Path, output_format: OutputFormat) -> None:
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)
    part.mkdir()
    scans = {"baseline": patient.baseline, "follow_up": patient.follow_up}
    for name, scan in scans.items():
        if scan is None:
            continue
        if output_format is not OutputFormat.DICOM:
            write_picture(scan, part / f"{name}.nii.gz")
        if output_format is not OutputFormat.NIFTI:
            identity = series_identity(patient, name)
            write_dicom_series(scan, part / f"{name}_dicom", identity=identity)
        write_labels(scan, part / f"{name}_labels.nii.gz")
    record = json.dumps(patient_record(patient), indent=1)
    (part / RECORD_NAME).write_text(record + "\n", encoding="utf-8")
    part.rename(folder)


def _write_table(path: Path, records: list[Record]) -> None:
    part = path.with_name(f".{path.name}.part")
    with part.open("w", newline="", encoding="utf-8") as stream:
        # Records of an older version may lack a column.
        columns = dict.fromkeys(name for record in records for name in record)
        writer = csv.DictWriter(stream, fieldnames=list(columns))
        writer.writeheader()
        writer.writerows(records)
    part.replace(path)
