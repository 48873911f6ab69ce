"""The tables that an import leaves: cohort, exclusions, charts and, if wanted, a key."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

from training.cohort.intake.clinical import write_clinical
from training.cohort.intake.criteria import WORDS
from training.cohort.intake.found_scan import MaskKind
from training.cohort.intake.import_cohort import ImportedCohort
from training.cohort.intake.scan_facts import ScanFacts

COHORT_TABLE, EXCLUSIONS_TABLE, CLINICAL_TABLE = "cohort.csv", "exclusions.csv", "clinical.csv"

_COHORT = (
    *("patient_id", "scan_id", "time_point", "hours_after_baseline", "slices"),
    *("spacing_z_mm", "spacing_y_mm", "spacing_x_mm", "thickness_mm"),
    *("mask", "hematoma_ml", "hematoma_slices", "part", "excluded", "centre"),
    *("manufacturer", "kernel"),
)
_EXCLUSIONS = ("level", "criterion", "words", "patient_id", "scan_id", "detail")
_KEY = ("scan_id", "patient_id", "source_patient_id", "source_path")


def write_tables(output: Path, imported: ImportedCohort) -> None:
    """Write one row a scan, one row an excluded scan or file, one row a patient's chart."""
    _write(output / COHORT_TABLE, _COHORT, (_row(one, imported) for one in imported.scans))
    excluded = [_exclusion(one, imported) for one in imported.scans if _reason(one, imported)]
    # A stray file has no identifier but its path, which may name a patient: see the key.
    strays = [("file", "stray_file", stray.reason, "", "", "") for stray in imported.strays]
    _write(output / EXCLUSIONS_TABLE, _EXCLUSIONS, [*excluded, *strays])
    if imported.clinical:
        write_clinical(output / CLINICAL_TABLE, imported.clinical)
        return
    (output / CLINICAL_TABLE).unlink(missing_ok=True)  # of an earlier call


def read_centres(cohort: Path) -> dict[str, str]:
    """Return each patient's centre; patients without one, or of older cohorts, are left out."""
    with (cohort / COHORT_TABLE).open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    return {row["patient_id"]: row["centre"] for row in rows if row.get("centre")}


def write_key(path: Path, imported: ImportedCohort) -> None:
    """Write which patient and path each identifier stands for; it belongs with patient data."""
    rows = [
        (one.scan_id, one.patient_id, *imported.originals[one.scan_id]) for one in imported.scans
    ]
    strays = [("", "", "", stray.where) for stray in imported.strays]
    _write(path, _KEY, [*rows, *strays])


def _row(one: ScanFacts, imported: ImportedCohort) -> Sequence[object]:
    z, y, x = one.spacing_zyx_mm
    reason = _reason(one, imported)
    hours = one.hours_after_baseline
    chart = imported.clinical.get(one.patient_id)
    centre = "" if chart is None else chart.centre
    part = "" if reason or one.mask is MaskKind.NONE else imported.split.part_of(one.patient_id)
    return (
        *(one.patient_id, one.scan_id, one.time_point.value, "" if hours is None else hours),
        *(one.slices or "", *(f"{step:.4g}" if step else "" for step in (z, y, x))),
        f"{one.thickness_mm:.4g}" if one.thickness_mm else "",
        *(one.mask.value, "" if one.hematoma_ml is None else f"{one.hematoma_ml:.3f}"),
        *(one.hematoma_slices or "", part or "", reason, centre or ""),
        *(one.manufacturer, one.kernel),
    )


def _exclusion(one: ScanFacts, imported: ImportedCohort) -> Sequence[object]:
    criterion = imported.verdict.excluded[one.scan_id]
    level = "patient" if one.patient_id in imported.verdict.patients else "scan"
    return (
        *("scan" if one.problem else level, criterion.value, WORDS[criterion]),
        *(one.patient_id, one.scan_id, one.detail),
    )


def _reason(one: ScanFacts, imported: ImportedCohort) -> str:
    criterion = imported.verdict.excluded.get(one.scan_id)
    return "" if criterion is None else criterion.value


def _write(path: Path, names: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    partial = path.with_name(path.name + ".part")
    with partial.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(names)
        writer.writerows(rows)
    partial.replace(path)
