"""Import of simulated heads written by ``ichtrain phantom``."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from pipeline.resampling import canonical_grid, resample_map
from pipeline.segmentation.head_crop import head_box
from pipeline.volume import AIR_HU, Vector
from training.cohort.case import HALF_COVERED, Case
from training.cohort.nifti import read_nifti

#: Label value of the intracerebral hematoma; ventricular and extra-axial blood have others.
_HEMATOMA = 1

_SCANS = ("baseline", "follow_up")


def patient_folders(cohort: Path) -> list[Path]:
    """Return the folders of finished patients, sorted."""
    found = cohort.glob("*/patient.json")
    return sorted(path.parent for path in found if not path.parent.name.startswith("."))


def read_scans(folder: Path, spacing_zyx_mm: Vector) -> Iterator[Case]:
    """Yield the scans of one simulated patient on the model's grid."""
    for scan in _SCANS:
        image_path = folder / f"{scan}.nii.gz"
        if not image_path.exists():
            continue
        hu_zyx, source = read_nifti(image_path)
        labels_zyx, _ = read_nifti(folder / f"{scan}_labels.nii.gz")
        target = canonical_grid(source, spacing_zyx_mm)
        hematoma = (labels_zyx == _HEMATOMA).astype(np.float32)
        hu = resample_map(hu_zyx, source, target, outside=AIR_HU)
        box = head_box(hu)
        yield Case(
            case_id=f"{folder.parent.name}-{folder.name}-{scan}",
            patient_id=f"{folder.parent.name}-{folder.name}",
            source="simulated",
            hu_zyx=np.round(hu[box]).astype(np.int16),
            label_zyx=(resample_map(hematoma, source, target)[box] >= HALF_COVERED).astype(
                np.uint8
            ),
            spacing_zyx_mm=spacing_zyx_mm,
        )
