"""Shares at a threshold of the probability of expansion, and the choice of the threshold."""

import numpy as np
from numpy.typing import NDArray

from training.evaluation.estimate import Estimate
from training.evaluation.proportion import wilson
from training.evaluation.roc import roc_curve


def sensitivity(
    expanded: NDArray[np.bool_], scores: NDArray[np.float64], *, threshold: float
) -> Estimate:
    """Return the share of HE patients whose score reaches the threshold."""
    return wilson(int((scores[expanded] >= threshold).sum()), int(expanded.sum()))


def specificity(
    expanded: NDArray[np.bool_], scores: NDArray[np.float64], *, threshold: float
) -> Estimate:
    """Return the share of NHE patients whose score stays below the threshold."""
    return wilson(int((scores[~expanded] < threshold).sum()), int((~expanded).sum()))


def youden_threshold(expanded: NDArray[np.bool_], scores: NDArray[np.float64]) -> float:
    """Return the threshold of greatest sensitivity + specificity - 1.

    It lies half way to the next lower score, so that it does not hang on the last digit of
    one patient's probability. Of equal ones the lowest is taken: a missed expansion is worse
    than a false alarm.

    References
    ----------
    .. [1] W. J. Youden, "Index for rating diagnostic tests", Cancer 3 (1950) 32-35.
    """
    curve = roc_curve(expanded, scores)
    gain = curve.sensitivity - curve.false_alarm_rate
    best = int(np.flatnonzero(gain >= gain.max() - 1e-12)[-1])
    if best == 0:
        return 1.0
    neighbours = curve.thresholds[best : best + 2]
    return float(neighbours.mean())
