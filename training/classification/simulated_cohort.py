"""Triplets of the patients that `ichtrain phantom` wrote."""

from pathlib import Path

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from pipeline.prediction import HeLabel
from pipeline.triplet import crop_triplet
from pipeline.volume import CtVolume, HematomaMask, VoxelGrid
from training.classification.case import TripletCase, images_of
from training.classification.simulated_signs import recorded_signs
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


def read_simulated_case(cohort: Path, record: Record) -> TripletCase:
    """Return the triplet of a patient's baseline scan, cut around the true hematoma."""
    folder = cohort / str(record["patient_id"])
    volume, labels_zyx = _read_scan(folder, "baseline")
    mask = HematomaMask(voxels_zyx=labels_zyx == int(Label.HEMATOMA), grid=volume.grid)
    return TripletCase(
        case_id=case_identity(record),
        patient_id=case_identity(record),
        label=HeLabel.HE if record["has_expansion"] else HeLabel.NHE,
        images_yx=images_of(crop_triplet(volume, mask)),
        signs=recorded_signs(
            {name: bool(record[name]) for name in ("black_hole", "blend", "swirl", "satellite")},
            irregularity=_number(record, "irregularity"),
            volume_ml=_number(record, "planned_ml"),
            expansion_probability=_number(record, "expansion_probability"),
        ),
    )


def grid_of_affine(affine_ras: NDArray[np.float64], shape_xyz: tuple[int, ...]) -> VoxelGrid:
    """Return the grid of a NIfTI image whose slices run from inferior to superior.

    Parameters
    ----------
    affine_ras : ndarray of float64, shape (4, 4)
        From voxel (x, y, z) to RAS+ millimetres; a sheared third column is gantry tilt.
    shape_xyz : tuple of int
        Voxels along x, y and z.
    """
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine_ras
    x, y, z = shape_xyz
    column_mm, row_mm = (float(np.linalg.norm(affine[:3, axis])) for axis in (0, 1))
    row_cosine, column_cosine = affine[:3, 0] / column_mm, affine[:3, 1] / row_mm
    origins = affine[:3, 3] + np.arange(z)[:, None] * affine[:3, 2]
    return VoxelGrid(
        shape_zyx=(z, y, x),
        pixel_spacing_yx_mm=(row_mm, column_mm),
        row_cosine_lps=(float(row_cosine[0]), float(row_cosine[1]), float(row_cosine[2])),
        column_cosine_lps=(
            float(column_cosine[0]),
            float(column_cosine[1]),
            float(column_cosine[2]),
        ),
        slice_origins_lps_mm=tuple((float(a), float(b), float(c)) for a, b, c in origins),
    )


def _read_scan(folder: Path, name: str) -> tuple[CtVolume, NDArray[np.uint8]]:
    picture, labels = (
        nib.nifti1.Nifti1Image.from_filename(folder / f"{name}{suffix}.nii.gz")
        for suffix in ("", "_labels")
    )
    hu_zyx = np.asarray(picture.dataobj).transpose(2, 1, 0).astype(np.int16)
    grid = grid_of_affine(np.asarray(picture.affine, dtype=np.float64), picture.shape)
    labels_zyx = np.asarray(labels.dataobj).transpose(2, 1, 0).astype(np.uint8)
    return CtVolume(hu_zyx=hu_zyx, grid=grid), labels_zyx


def _number(record: Record, name: str) -> float:
    value = record[name]
    if value is None or isinstance(value, str):
        raise ValueError(f"{name} of {record['patient_id']} must be a number, got {value!r}")
    return float(value)
