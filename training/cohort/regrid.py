"""Prepared cases on the grid of a training."""

import numpy as np

from pipeline.resampling import canonical_grid, resample_map
from pipeline.volume import AIR_HU, Vector, regular_grid
from training.cohort.case import HALF_COVERED, IGNORED, Case


def on_grid(case: Case, spacing_zyx_mm: Vector) -> Case:
    """Return a case on a regular grid of another spacing, itself if it has that spacing.

    Hounsfield units are resampled as the pipeline resamples scans; a voxel is hematoma, or
    unknown, if at least half of it is.
    """
    if np.allclose(case.spacing_zyx_mm, spacing_zyx_mm):
        return case
    source = regular_grid(case.hu_zyx.shape, case.spacing_zyx_mm)
    target = canonical_grid(source, spacing_zyx_mm)
    hu = resample_map(case.hu_zyx, source, target, outside=AIR_HU)
    label = np.zeros(target.shape_zyx, dtype=np.uint8)
    for value in (IGNORED, 1):
        covered = resample_map((case.label_zyx == value).astype(np.float32), source, target)
        label[covered >= HALF_COVERED] = value
    return Case(
        case_id=case.case_id,
        patient_id=case.patient_id,
        source=case.source,
        hu_zyx=np.round(hu).astype(np.int16),
        label_zyx=label,
        spacing_zyx_mm=spacing_zyx_mm,
    )
