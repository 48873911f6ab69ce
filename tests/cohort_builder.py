"""Scans with a ball of blood, its mask as NIfTI and DICOM SEG, and an import of them."""

from pathlib import Path

import highdicom as hd
import nibabel
import numpy as np
from ct_builder import Ball, build_ct_series
from pydicom.sr.codedict import codes

from training.cohort.intake.import_cohort import ImportedCohort, ImportOptions, import_cohort

BALL = Ball(center_lps_mm=(25.0, 5.0, 10.0), radius_mm=22.0)

#: Coarse, so that a head takes an instant.
GRID = (5.0, 4.0, 4.0)


def series(patient: str, *, seed: int, day: str = "20260105", **changes):
    """Return a coarse head with a ball of blood."""
    built = build_ct_series(
        shape_yx=(64, 64), balls=[BALL], seed=seed, noise_hu=2.0, patient_id=patient, **changes
    )
    for one in built:
        one.StudyDate = one.SeriesDate = one.AcquisitionDate = day
    return built


def blood(volume) -> np.ndarray:
    """Return the ball's voxels, shape (Z, Y, X): the truth is in patient coordinates."""
    grid = volume.grid
    z, y, x = np.indices(volume.hu_zyx.shape)
    points = (
        np.asarray(grid.slice_origins_lps_mm)[z]
        + y[..., None] * grid.pixel_spacing_yx_mm[0] * np.asarray(grid.column_cosine_lps)
        + x[..., None] * grid.pixel_spacing_yx_mm[1] * np.asarray(grid.row_cosine_lps)
    )
    return np.linalg.norm(points - np.asarray(BALL.center_lps_mm), axis=-1) <= BALL.radius_mm


def save_nifti(path: Path, values_zyx: np.ndarray, volume) -> None:
    """Write an array the way a viewer does: RAS world, x fastest."""
    grid = volume.grid
    affine = np.eye(4)
    affine[:3, 0] = np.asarray(grid.row_cosine_lps) * grid.pixel_spacing_yx_mm[1]
    affine[:3, 1] = np.asarray(grid.column_cosine_lps) * grid.pixel_spacing_yx_mm[0]
    origins = np.asarray(grid.slice_origins_lps_mm)
    affine[:3, 2] = origins[1] - origins[0]
    affine[:3, 3] = origins[0]
    affine[:2] *= -1
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(values_zyx.astype(np.int16).transpose(2, 1, 0), affine), path)


def save_seg(path: Path, instances, mask_zyx: np.ndarray, *, labels=("Hematoma",)) -> None:
    """Write a DICOM SEG by highdicom, slices superior first, empty frames left out."""
    ordered = sorted(instances, key=lambda one: float(one.ImagePositionPatient[2]))[::-1]
    segments = [
        hd.seg.SegmentDescription(
            segment_number=number,
            segment_label=label,
            segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
            segmented_property_type=codes.SCT.Hemorrhage,
            algorithm_type=hd.seg.SegmentAlgorithmTypeValues.MANUAL,
        )
        for number, label in enumerate(labels, start=1)
    ]
    stack = np.stack([mask_zyx[::-1] * (index == 0) for index in range(len(labels))], axis=-1)
    seg = hd.seg.Segmentation(
        source_images=ordered,
        pixel_array=stack.astype(np.uint8) if len(labels) > 1 else stack[..., 0].astype(np.uint8),
        segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=segments,
        series_instance_uid=hd.UID(),
        series_number=9,
        sop_instance_uid=hd.UID(),
        instance_number=1,
        manufacturer="Synthetic",
        manufacturer_model_name="Hand",
        software_versions="1",
        device_serial_number="0",
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    seg.save_as(path)


def run(source: Path, output: Path, **changes) -> ImportedCohort:
    """Import with a coarse grid and a fixed salt."""
    given = {"spacing_zyx_mm": GRID, "salt": "s", **changes}
    options = ImportOptions(source=source, output=output, **given)
    return import_cohort(options, on_progress=lambda *_: None)
