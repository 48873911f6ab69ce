"""Whether acting on a model does more good than acting on everybody or nobody.

References
----------
.. [1] A. J. Vickers, E. B. Elkin, "Decision curve analysis: a novel method for evaluating
   prediction models", Med. Decis. Making 26 (2006) 565-574.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DecisionCurve:
    """Net benefit [1]_ over the probabilities from which somebody would act.

    Attributes
    ----------
    thresholds : ndarray of float64, shape (N,)
        Rising, in (0, 1).
    model, treat_all : ndarray of float64, shape (N,)
        True positives per patient, less false positives weighed by the odds of the threshold;
        acting on nobody has 0.
    """

    thresholds: NDArray[np.float64]
    model: NDArray[np.float64]
    treat_all: NDArray[np.float64]


def decision_curve(
    positive: NDArray[np.bool_],
    probabilities: NDArray[np.float64],
    *,
    thresholds: NDArray[np.float64],
) -> DecisionCurve:
    """Return the net benefit of acting from each threshold upwards.

    Raises
    ------
    ValueError
        If there is no case, or a threshold lies outside (0, 1).
    """
    if not len(positive):
        raise ValueError("A decision curve needs cases")
    if not ((thresholds > 0) & (thresholds < 1)).all():
        raise ValueError("Thresholds must lie between 0 and 1")
    odds = thresholds / (1 - thresholds)
    called = probabilities[None] >= thresholds[:, None]
    hits = (called & positive).mean(axis=1)
    alarms = (called & ~positive).mean(axis=1)
    share = float(positive.mean())
    return DecisionCurve(
        thresholds=thresholds,
        model=hits - alarms * odds,
        treat_all=share - (1 - share) * odds,
    )
