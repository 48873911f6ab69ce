"""Triplets of the patients that `ichtrain phantom` wrote."""

from pathlib import Path

from pipeline.prediction import HeLabel
from pipeline.slice_input import SliceInput
from pipeline.triplet import crop_triplet
from pipeline.volume import CtVolume, HematomaMask
from training.classification.case import TripletCase, cut_words, images_of, masks_of
from training.classification.simulated_signs import SIGN_NAMES, recorded_signs
from training.cohort.nifti import read_nifti
from training.phantom.cohort import read_records
from training.phantom.labels import Label
from training.phantom.record import Record


def cohort_records(cohort: Path) -> list[Record]:
    """Return the records of those patients of a simulated cohort who have a hematoma."""
    return [
        record
        for record in read_records(cohort)
        if record["has_hematoma"] and _number(record, "baseline_ml") > 0
    ]


def case_identity(record: Record) -> str:
    """Return an identity that differs between cohorts of different seed."""
    return f"seed{record['seed']}-{record['patient_id']}"


def read_simulated_case(
    cohort: Path, record: Record, *, how: SliceInput | None = None
) -> TripletCase:
    """Return the triplet of a patient's baseline scan, cut around the true hematoma."""
    how = how or SliceInput()
    folder = cohort / str(record["patient_id"])
    hu_zyx, grid = read_nifti(folder / "baseline.nii.gz")
    labels_zyx, _ = read_nifti(folder / "baseline_labels.nii.gz")
    volume = CtVolume(hu_zyx=hu_zyx, grid=grid)
    mask = HematomaMask(voxels_zyx=labels_zyx == int(Label.HEMATOMA), grid=grid)
    triplet = crop_triplet(volume, mask, how=how)
    # where there are centres, the whole chance rests on a chart that no image shows
    seen = "visible_expansion_probability"
    chance = seen if seen in record else "expansion_probability"
    return TripletCase(
        case_id=case_identity(record),
        patient_id=case_identity(record),
        label=HeLabel.HE if record["has_expansion"] else HeLabel.NHE,
        images_yx=images_of(triplet),
        cut=cut_words(how),
        masks_yx=masks_of(triplet, mask),
        signs=recorded_signs(
            {name: bool(record[name]) for name in SIGN_NAMES},
            irregularity=_number(record, "irregularity"),
            volume_ml=_number(record, "planned_ml"),
            expansion_probability=_number(record, chance),
        ),
    )


def _number(record: Record, name: str) -> float:
    value = record[name]
    if value is None or isinstance(value, str):
        raise ValueError(f"{name} of {record['patient_id']} must be a number, got {value!r}")
    return float(value)
