"""Everything that is measured on one segmented scan."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.volume import Vector
from training.evaluation.lesions import LesionCount, count_lesions
from training.evaluation.scores import score_mask
from training.evaluation.surface_distance import hausdorff_mm


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanScore:
    """The comparison of a predicted mask with the truth on the scan's own grid.

    Voxels whose truth is not known are taken out of both masks before anything is measured.

    Attributes
    ----------
    case_id, patient_id : str
        Which scan, and whose.
    dice, iou : float or None
        Overlap in [0, 1]; None where both masks are empty.
    hd95_mm : float or None
        95 % Hausdorff distance; None where both masks are empty, the diagonal of the scan
        where one is.
    predicted_ml, true_ml : float
        Volumes.
    lesions : LesionCount
        Lesions there, found and made up.
    """

    case_id: str
    patient_id: str
    dice: float | None
    iou: float | None
    hd95_mm: float | None
    predicted_ml: float
    true_ml: float
    lesions: LesionCount

    @property
    def error_ml(self) -> float:
        """Predicted minus true volume."""
        return self.predicted_ml - self.true_ml


def score_scan(
    predicted: NDArray[np.bool_],
    truth: NDArray[np.bool_],
    *,
    known: NDArray[np.bool_],
    spacing_zyx_mm: Vector,
    case_id: str,
    patient_id: str,
) -> ScanScore:
    """Return everything that is measured on one scan; arrays have shape (Z, Y, X)."""
    found, real = predicted & known, truth & known
    voxel_ml = float(np.prod(spacing_zyx_mm)) / 1000
    overlap = score_mask(found, real, known=known, voxel_ml=voxel_ml, patient_id=patient_id)
    return ScanScore(
        case_id=case_id,
        patient_id=patient_id,
        dice=overlap.dice,
        iou=None if overlap.dice is None else overlap.dice / (2 - overlap.dice),
        hd95_mm=hausdorff_mm(found, real, spacing_zyx_mm),
        predicted_ml=overlap.predicted_ml,
        true_ml=overlap.true_ml,
        lesions=count_lesions(found, real, voxel_ml=voxel_ml),
    )
