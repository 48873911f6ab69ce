"""How well a mask fits the truth."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentationScore:
    """The comparison of one predicted mask with its truth.

    Attributes
    ----------
    patient_id : str
        Whose scan it is.
    dice : float or None
        Overlap in [0, 1]; None where neither mask holds anything.
    predicted_ml, true_ml : float
        Volumes over the voxels whose truth is known.
    """

    patient_id: str
    dice: float | None
    predicted_ml: float
    true_ml: float

    @property
    def error_ml(self) -> float:
        """Predicted minus true volume."""
        return self.predicted_ml - self.true_ml


def dice(predicted: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float | None:
    """Return twice the overlap over the sum of sizes, None if both masks are empty."""
    total = int(np.count_nonzero(predicted)) + int(np.count_nonzero(truth))
    if total == 0:
        return None
    return 2 * int(np.count_nonzero(predicted & truth)) / total


def score_mask(
    predicted: NDArray[np.bool_],
    truth: NDArray[np.bool_],
    *,
    known: NDArray[np.bool_],
    voxel_ml: float,
    patient_id: str,
) -> SegmentationScore:
    """Return the score of one scan, counted over the voxels whose truth is known."""
    found, real = predicted & known, truth & known
    return SegmentationScore(
        patient_id=patient_id,
        dice=dice(found, real),
        predicted_ml=int(np.count_nonzero(found)) * voxel_ml,
        true_ml=int(np.count_nonzero(real)) * voxel_ml,
    )
