"""When a teacher is believed."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage  # type: ignore[import-untyped] # scipy ships no types

from training.cohort.case import IGNORED
from training.cohort.labelled_series import NOT_SHOWN, SHOWN
from training.evaluation.scores import dice


@dataclass(frozen=True, slots=True, kw_only=True)
class BeliefRules:
    """How sure teachers must be, and how much they must agree.

    Attributes
    ----------
    sure : float
        Mean probability from which a voxel is hematoma.
    doubt : float
        Probability of any one teacher from which a voxel that is not sure is ignored.
    least_ml : float
        Sure parts below this volume are ignored: teachers trained on trauma leave specks.
    agreement : float
        Least Dice between any two teachers over the whole scan, where one of them finds
        more than `least_ml`; a scan below it is left out.

    Raises
    ------
    ValueError
        If the probabilities are in the wrong order or a share lies outside [0, 1].
    """

    sure: float = 0.5
    doubt: float = 0.15
    least_ml: float = 0.05
    agreement: float = 0.3

    def __post_init__(self) -> None:
        if not 0 < self.doubt <= self.sure <= 1:
            raise ValueError(f"0 < doubt <= sure <= 1 is needed, got {self.doubt}, {self.sure}")
        if not 0 <= self.agreement <= 1 or self.least_ml < 0:
            raise ValueError(
                f"Agreement lies in [0, 1] and least_ml from 0, got {self.agreement}, "
                f"{self.least_ml}"
            )


def least_agreement(
    probabilities: Sequence[NDArray[np.float32]], *, voxel_ml: float, rules: BeliefRules
) -> float:
    """Return the smallest Dice between two teachers, 1 where none finds anything worth it."""
    masks = [values >= rules.sure for values in probabilities]
    least = 1.0
    for index, first in enumerate(masks):
        for second in masks[index + 1 :]:
            larger_ml = max(first.sum(), second.sum()) * voxel_ml
            if larger_ml > rules.least_ml:
                least = min(least, dice(first, second) or 0.0)
    return least


def pseudo_label(
    probabilities: Sequence[NDArray[np.float32]],
    slices: NDArray[np.int64],
    *,
    voxel_ml: float,
    rules: BeliefRules,
) -> NDArray[np.uint8]:
    """Return what may be learnt from teachers' probabilities.

    Parameters
    ----------
    probabilities : sequence of ndarray of float32, shape (Z, Y, X)
        Of hematoma, one per teacher.
    slices : ndarray of int, shape (Z,)
        What radiologists said of each slice. They overrule the teachers: without hematoma the
        slice is background; with hematoma but no sure voxel, nobody knows where it is.
    voxel_ml : float
        Volume of a voxel in millilitres.
    rules : BeliefRules
        When a teacher is believed.

    Returns
    -------
    ndarray of uint8, shape (Z, Y, X)
        1 in the hematoma, 0 outside, `IGNORED` where nobody knows.
    """
    mean = np.mean(probabilities, axis=0)
    sure = mean >= rules.sure
    parts, _ = ndimage.label(sure, structure=np.ones((3, 3, 3)))
    sizes = np.bincount(parts.ravel()) * voxel_ml
    sizes[0] = 0
    believed = sure & (sizes[parts] >= rules.least_ml)
    doubted = np.max(probabilities, axis=0) >= rules.doubt
    label = np.where(doubted, IGNORED, 0).astype(np.uint8)
    label[believed] = 1
    label[slices == NOT_SHOWN] = 0
    unseen = (slices == SHOWN) & ~believed.any(axis=(1, 2))
    label[unseen] = IGNORED
    return label
