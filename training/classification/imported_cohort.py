"""Triplets of a cohort that `ichtrain cohort import` prepared, labelled by growth of volume."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline.expansion import meets_expansion_rule
from pipeline.prediction import HeLabel
from pipeline.slice_input import SliceInput
from pipeline.triplet import crop_triplet
from pipeline.volume import CtVolume, HematomaMask, regular_grid
from training.classification.case import TripletCase, cut_words, images_of, masks_of
from training.cohort.case import load_case
from training.cohort.intake.found_scan import TimePoint
from training.cohort.intake.tables import COHORT_TABLE


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowedPatient:
    """A patient with a baseline scan and a follow-up, both with a mask.

    Attributes
    ----------
    patient_id, baseline_scan, follow_up_scan : str
        Identities within the cohort.
    baseline_ml, follow_up_ml : float
        Volumes of the masks.
    """

    patient_id: str
    baseline_scan: str
    follow_up_scan: str
    baseline_ml: float
    follow_up_ml: float

    @property
    def label(self) -> HeLabel:
        """HE where the hematoma grew by more than 6 mL or a third (npj study, Methods)."""
        return HeLabel(not meets_expansion_rule(self.baseline_ml, self.follow_up_ml))


def is_imported(cohort: Path) -> bool:
    """Return whether a folder is that of an imported cohort.

    `ichtrain phantom` writes a table of the same name, which has no scans.
    """
    try:
        with (cohort / COHORT_TABLE).open(newline="") as stream:
            return "scan_id" in next(csv.reader(stream), [])
    except FileNotFoundError:
        return False


def followed_patients(cohort: Path) -> list[FollowedPatient]:
    """Return the patients of a cohort that take part and whose outcome is known.

    Of several follow-ups the last one counts, as the growth may come late.

    Raises
    ------
    ValueError
        If nobody's outcome is known.
    """
    baselines: dict[str, dict[str, str]] = {}
    follow_ups: dict[str, dict[str, str]] = {}
    with (cohort / COHORT_TABLE).open(newline="") as stream:
        for row in csv.DictReader(stream):
            if row["excluded"] or not row["hematoma_ml"]:
                continue
            if row["time_point"] == TimePoint.BASELINE:
                baselines[row["patient_id"]] = row
            if row["time_point"] == TimePoint.FOLLOW_UP:
                before = follow_ups.get(row["patient_id"])
                if before is None or _hours(row) >= _hours(before):
                    follow_ups[row["patient_id"]] = row
    found = [
        FollowedPatient(
            patient_id=patient,
            baseline_scan=row["scan_id"],
            follow_up_scan=follow_ups[patient]["scan_id"],
            baseline_ml=float(row["hematoma_ml"]),
            follow_up_ml=float(follow_ups[patient]["hematoma_ml"]),
        )
        for patient, row in sorted(baselines.items())
        if patient in follow_ups and float(row["hematoma_ml"]) > 0
    ]
    if not found:
        raise ValueError(f"{cohort} has no patient with segmented baseline and follow-up scans")
    return found


def read_imported_cases(
    cohort: Path, patients: list[FollowedPatient], *, how: SliceInput
) -> Iterator[TripletCase]:
    """Yield the triplets of patients' baseline scans, cut on the grid they were prepared on."""
    for patient in patients:
        case = load_case(cohort / f"{patient.baseline_scan}.npz")
        grid = regular_grid(case.hu_zyx.shape, case.spacing_zyx_mm)
        mask = HematomaMask(voxels_zyx=case.label_zyx == 1, grid=grid)
        triplet = crop_triplet(CtVolume(hu_zyx=case.hu_zyx, grid=grid), mask, how=how)
        yield TripletCase(
            case_id=patient.baseline_scan,
            patient_id=patient.patient_id,
            label=patient.label,
            images_yx=images_of(triplet),
            cut=cut_words(how),
            masks_yx=masks_of(triplet, mask),
        )


def _hours(row: dict[str, str]) -> float:
    return float(row["hours_after_baseline"] or 0)
