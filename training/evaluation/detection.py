"""Detection slice by slice: how well a scorer finds slices, and which of two is better."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.statistics.delong import delong
from pipeline.statistics.estimate import Estimate
from pipeline.statistics.roc import auc, auc_or_none
from training.evaluation.auc_interval import auc_with_interval
from training.evaluation.bootstrap import draw_statistic


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LabelledSlices:
    """Slices that readers have judged.

    Attributes
    ----------
    positive : ndarray of bool, shape (N,)
        Whether the slice shows what is looked for.
    patients : tuple of str
        Whose slice it is.

    Raises
    ------
    ValueError
        If the numbers differ or one of the outcomes does not occur.
    """

    positive: NDArray[np.bool_]
    patients: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(self.positive) != len(self.patients):
            raise ValueError(
                f"{len(self.positive)} slices need as many patients, got {len(self.patients)}"
            )
        if self.positive.all() or not self.positive.any():
            raise ValueError("Detection needs slices of both outcomes")


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectorComparison:
    """Two scorers on the same slices.

    Attributes
    ----------
    first, second : Estimate
        AUC of each, interval over patients.
    difference : Estimate
        First minus second, interval over patients: both are judged on the same draws.
    p_value : float
        Two-sided, of no difference, from the same draws; not below one over their number.
    delong_p_value : float
        The same by DeLong's test, which takes every slice for a patient of its own and is
        therefore too sure wherever patients have many slices.
    slices, positive_slices, patients : int
        How many there are.
    """

    first: Estimate
    second: Estimate
    difference: Estimate
    p_value: float
    delong_p_value: float
    slices: int
    positive_slices: int
    patients: int


def slice_auc(
    slices: LabelledSlices, scores: NDArray[np.float64], *, seed: int = 0, draws: int = 2000
) -> Estimate:
    """Return the AUC of slice-wise scores, shape (N,), with its 95 % interval over patients."""
    rng = np.random.default_rng(seed)
    return auc_with_interval(
        slices.positive, scores, patients=slices.patients, rng=rng, draws=draws
    )


def compare_detectors(
    slices: LabelledSlices,
    first: NDArray[np.float64],
    second: NDArray[np.float64],
    *,
    seed: int = 0,
    draws: int = 2000,
) -> DetectorComparison:
    """Return how two scorers, each of shape (N,), compare on the same slices.

    Raises
    ------
    ValueError
        If there is not one score of each for every slice.
    """
    positive = slices.positive
    if not len(first) == len(second) == len(positive):
        raise ValueError(f"{len(positive)} slices, but {len(first)} and {len(second)} scores")

    def gain(cases: NDArray[np.intp]) -> float | None:
        ours = auc_or_none(positive[cases], first[cases])
        theirs = auc_or_none(positive[cases], second[cases])
        return None if ours is None or theirs is None else ours - theirs

    drawn = draw_statistic(gain, slices.patients, rng=np.random.default_rng(seed), draws=draws)
    low, high = np.percentile(drawn, [2.5, 97.5])
    return DetectorComparison(
        first=slice_auc(slices, first, seed=seed, draws=draws),
        second=slice_auc(slices, second, seed=seed, draws=draws),
        difference=Estimate(
            value=auc(positive, first) - auc(positive, second), low=float(low), high=float(high)
        ),
        p_value=two_sided(drawn),
        delong_p_value=delong(positive, np.stack([first, second])).p_value(),
        slices=len(positive),
        positive_slices=int(positive.sum()),
        patients=len(set(slices.patients)),
    )


def two_sided(drawn: NDArray[np.float64]) -> float:
    """Return twice the smaller share of draws on one side of zero, at least 1 / draws."""
    smaller = min(float(np.mean(drawn <= 0)), float(np.mean(drawn >= 0)))
    return min(1.0, max(2 * smaller, 1 / len(drawn)))
