"""Counting lesions: which were found, and which were made up."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage  # type: ignore[import-untyped]  # scipy ships no types

from pipeline.segmentation.components import ALL_NEIGHBOURS

#: Smaller connected parts are specks of resampling and delineation, not lesions.
LESION_FLOOR_ML = 0.1

#: A lesion is found if at least this share of its voxels lies in the other mask. Small, since
#: the count asks whether the lesion was noticed; how well it was drawn is told by Dice.
OVERLAP_SHARE = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class LesionCount:
    """Lesions of one scan.

    Attributes
    ----------
    true, found : int
        Lesions of the truth, and how many of them the prediction overlaps.
    false : int
        Lesions of the prediction that the truth does not overlap.
    """

    true: int
    found: int
    false: int

    def __post_init__(self) -> None:
        if not 0 <= self.found <= self.true or self.false < 0:
            raise ValueError(f"Impossible count of lesions: {self}")


def count_lesions(
    predicted: NDArray[np.bool_],
    truth: NDArray[np.bool_],
    *,
    voxel_ml: float,
    floor_ml: float = LESION_FLOOR_ML,
    overlap_share: float = OVERLAP_SHARE,
) -> LesionCount:
    """Return how many lesions were there, were found and were made up.

    A lesion is a connected part (26 neighbours) of at least `floor_ml`. It is found if at
    least `overlap_share` of it is predicted, by whatever part of the prediction; a predicted
    lesion is false if less than `overlap_share` of it is true.
    """
    there = _covered_shares(truth, predicted, voxel_ml=voxel_ml, floor_ml=floor_ml)
    seen = _covered_shares(predicted, truth, voxel_ml=voxel_ml, floor_ml=floor_ml)
    return LesionCount(
        true=len(there),
        found=int((there >= overlap_share).sum()),
        false=int((seen < overlap_share).sum()),
    )


def _covered_shares(
    mask: NDArray[np.bool_], cover: NDArray[np.bool_], *, voxel_ml: float, floor_ml: float
) -> NDArray[np.float64]:
    """Return for each lesion of a mask which share of it another mask covers, shape (N,)."""
    labels, count = ndimage.label(mask, structure=ALL_NEIGHBOURS)
    sizes = np.bincount(labels[mask], minlength=count + 1)[1:]
    covered = np.bincount(labels[mask & cover], minlength=count + 1)[1:]
    # Volumes are counted in whole voxels: half a voxel of tolerance against rounding of 0.1 mL.
    large = sizes * voxel_ml >= floor_ml - voxel_ml / 2
    return np.asarray(covered[large] / sizes[large], dtype=np.float64)
