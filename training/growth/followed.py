"""Patients of a cohort whose hematoma was segmented in a baseline and in a follow-up scan."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pipeline.expansion import meets_expansion_rule
from pipeline.volume import Vector
from training.classification.imported_cohort import followed_patients, is_imported
from training.cohort.case import Case, load_case
from training.cohort.regrid import on_grid
from training.cohort.simulated import patient_folders, read_scans


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """A patient with two segmented scans.

    Attributes
    ----------
    patient_id : str
        Within the cohort.
    baseline_ml, follow_up_ml : float
        Volumes as they were measured on the scans' own grids.
    read : callable
        Returns baseline and follow-up case on a grid of some spacing.
    """

    patient_id: str
    baseline_ml: float
    follow_up_ml: float
    read: Callable[[Vector], tuple[Case, Case]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Criteria:
    """Who is learnt from; the defaults are the paper's.

    Attributes
    ----------
    least_baseline_ml : float
        Smaller hematomas are left out.
    only_expanding : bool
        Leave out who did not grow by more than 6 mL or 33 %. The forecast is then one of what
        happens if a hematoma expands.

    Raises
    ------
    ValueError
        If the volume is negative.
    """

    least_baseline_ml: float = 5.0
    only_expanding: bool = True

    def __post_init__(self) -> None:
        if self.least_baseline_ml < 0:
            raise ValueError(
                f"least_baseline_ml must not be negative, got {self.least_baseline_ml}"
            )

    def objection(self, patient: Followed) -> str:
        """Return why a patient is left out, empty if there is no reason."""
        if patient.baseline_ml < self.least_baseline_ml or patient.baseline_ml <= 0:
            return f"baseline hematoma of less than {self.least_baseline_ml:g} mL"
        grew = meets_expansion_rule(patient.baseline_ml, patient.follow_up_ml)
        if self.only_expanding and not grew:
            return "hematoma did not expand"
        return ""


def followed_of(cohort: Path) -> list[Followed]:
    """Return the patients of an imported cohort, or of one of simulated heads.

    Raises
    ------
    ValueError
        If nobody was followed.
    """
    found = _simulated(cohort)
    if not found and is_imported(cohort):
        found = _imported(cohort)
    if not found:
        raise ValueError(f"{cohort} has no patient with segmented baseline and follow-up scans")
    return found


def _imported(cohort: Path) -> list[Followed]:
    return [
        Followed(
            patient_id=one.patient_id,
            baseline_ml=one.baseline_ml,
            follow_up_ml=one.follow_up_ml,
            read=partial(
                _read_prepared,
                cohort / f"{one.baseline_scan}.npz",
                cohort / f"{one.follow_up_scan}.npz",
            ),
        )
        for one in followed_patients(cohort)
    ]


def _simulated(cohort: Path) -> list[Followed]:
    found = []
    for folder in patient_folders(cohort):
        record = json.loads((folder / "patient.json").read_text(encoding="utf-8"))
        if not record["follow_up_scanned"]:
            continue
        found.append(
            Followed(
                patient_id=f"{cohort.resolve().name}-{folder.name}",
                baseline_ml=float(record["baseline_ml"]),
                follow_up_ml=float(record["follow_up_ml"]),
                read=partial(_read_simulated, folder),
            )
        )
    return found


def _read_prepared(baseline: Path, follow_up: Path, spacing_zyx_mm: Vector) -> tuple[Case, Case]:
    first, second = (on_grid(load_case(path), spacing_zyx_mm) for path in (baseline, follow_up))
    return first, second


def _read_simulated(folder: Path, spacing_zyx_mm: Vector) -> tuple[Case, Case]:
    first, second = read_scans(folder, spacing_zyx_mm)
    return first, second
