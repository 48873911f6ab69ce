"""Shares at a threshold of the probability of expansion, and the choice of the threshold."""

import numpy as np
from numpy.typing import NDArray

from training.evaluation.estimate import Estimate
from training.evaluation.roc import roc_curve

#: Two-sided 95 % point of the normal distribution.
NORMAL_95 = 1.959964


def wilson(count: int, total: int) -> Estimate:
    """Return a share with Wilson's score interval.

    References
    ----------
    .. [1] E. B. Wilson, "Probable inference, the law of succession, and statistical
       inference", J. Am. Stat. Assoc. 22 (1927) 209-212.
    """
    share, z2 = count / total, NORMAL_95**2
    middle = (share + z2 / (2 * total)) / (1 + z2 / total)
    half = (
        NORMAL_95 * np.sqrt(share * (1 - share) / total + z2 / (4 * total**2)) / (1 + z2 / total)
    )
    return Estimate(
        value=share, low=float(max(middle - half, 0)), high=float(min(middle + half, 1))
    )


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
