"""The choice of thresholds of the probability of expansion."""

import numpy as np
from numpy.typing import NDArray

from pipeline.operating_point import OperatingPoint
from pipeline.statistics.roc import roc_curve


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


def operating_point(
    expanded: NDArray[np.bool_], scores: NDArray[np.float64], *, wanted_sensitivity: float
) -> OperatingPoint:
    """Return the highest threshold that reaches a sensitivity.

    It lies half way to the next lower score, as `youden_threshold`.

    Raises
    ------
    ValueError
        If the sensitivity lies outside (0, 1], or an outcome does not occur.
    """
    if not 0 < wanted_sensitivity <= 1:
        raise ValueError(f"Sensitivity must lie in (0, 1], got {wanted_sensitivity}")
    if expanded.all() or not expanded.any():
        raise ValueError("An operating point needs cases of both outcomes")
    curve = roc_curve(expanded, scores)
    first = int(np.flatnonzero(curve.sensitivity >= wanted_sensitivity - 1e-12)[0])
    threshold = float(np.mean(curve.thresholds[first : first + 2]))
    return OperatingPoint(
        name=f"sensitivity-{100 * wanted_sensitivity:g}",
        threshold=threshold,
        sensitivity=float(curve.sensitivity[first]),
        specificity=float(1 - curve.false_alarm_rate[first]),
    )
