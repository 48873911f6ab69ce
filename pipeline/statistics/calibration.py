"""How far the probabilities of patients can be believed: slope, intercept, reliability.

References
----------
.. [1] D. R. Cox, "Two further applications of a model for binary regression", Biometrika 45
   (1958) 562-565.
.. [2] E. W. Steyerberg et al., "Assessing the performance of prediction models", Epidemiology
   21 (2010) 128-138.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.statistics.estimate import Estimate
from pipeline.statistics.proportion import NORMAL_95, wilson

#: Probabilities are held this far from 0 and 1, whose log odds are infinite.
_LEAST_PROBABILITY = 1e-6

#: Newton's method ends after so many steps, or when a step is this short.
_STEPS, _SHORT = 100, 1e-10

#: Log odds grow beyond this only where the outcomes are separated and no maximum exists.
_LARGEST = 1e4


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationLine:
    """Log odds of what happens as a line over the log odds of what was promised [1]_.

    Attributes
    ----------
    slope : Estimate
        1 is right; below 1 the promises are too extreme.
    intercept : Estimate
        Of the line with the slope held at 1, "calibration in the large" [2]_: 0 is right, below
        0 the promises are too high.
    """

    slope: Estimate
    intercept: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class ReliabilityGroup:
    """Patients with similar probabilities.

    Attributes
    ----------
    cases : int
        How many.
    mean_probability : float
        What was promised.
    share : Estimate
        What happened, with Wilson's interval.
    """

    cases: int
    mean_probability: float
    share: Estimate


def calibration_line(
    positive: NDArray[np.bool_], probabilities: NDArray[np.float64]
) -> CalibrationLine:
    """Return slope and intercept with Wald's 95 % intervals.

    Cases count as independent.

    Raises
    ------
    ValueError
        If one of the outcomes does not occur, all probabilities are equal, or the
        probabilities separate the outcomes, so that no line fits best.
    """
    if positive.all() or not positive.any():
        raise ValueError("A calibration line needs cases of both outcomes")
    held = np.clip(probabilities, _LEAST_PROBABILITY, 1 - _LEAST_PROBABILITY)
    odds = np.log(held / (1 - held))
    if np.ptp(odds) == 0:
        raise ValueError("All probabilities are equal: they have no slope")
    ones = np.ones_like(odds)
    line, of_line = _logistic(np.stack([ones, odds], axis=1), positive, np.zeros_like(odds))
    level, of_level = _logistic(ones[:, None], positive, odds)
    return CalibrationLine(
        slope=_wald(line[1], of_line[1, 1]), intercept=_wald(level[0], of_level[0, 0])
    )


def reliability(
    positive: NDArray[np.bool_], probabilities: NDArray[np.float64], *, groups: int = 10
) -> tuple[ReliabilityGroup, ...]:
    """Return groups of nearly equal size by rising probability; equal ones stay together.

    Raises
    ------
    ValueError
        If there is no case, or no group.
    """
    if groups < 1 or not len(probabilities):
        raise ValueError(f"{len(probabilities)} cases cannot make {groups} groups")
    ranks = np.searchsorted(np.sort(probabilities), probabilities, side="left")
    places = ranks * groups // len(ranks)
    return tuple(
        ReliabilityGroup(
            cases=int((places == place).sum()),
            mean_probability=float(probabilities[places == place].mean()),
            share=wilson(int(positive[places == place].sum()), int((places == place).sum())),
        )
        for place in np.unique(places)
    )


def calibration_error(groups: Sequence[ReliabilityGroup]) -> float:
    """Return the expected calibration error: mean distance of promise and truth."""
    off = [abs(one.mean_probability - one.share.value) * one.cases for one in groups]
    return sum(off) / sum(one.cases for one in groups)


def _logistic(
    inputs: NDArray[np.float64], positive: NDArray[np.bool_], offset: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return coefficients of greatest likelihood and their covariance, by Newton's method."""
    found = np.zeros(inputs.shape[1])
    for _ in range(_STEPS):
        chance = 1 / (1 + np.exp(-np.clip(inputs @ found + offset, -700, 700)))
        information = inputs.T @ (inputs * (chance * (1 - chance))[:, None])
        try:
            step = np.linalg.solve(information, inputs.T @ (positive - chance))
        except np.linalg.LinAlgError:
            break
        # a long step would leap over the maximum where the first guess is poor
        found = found + step / max(1.0, float(np.abs(step).max()) / 5)
        if np.abs(found).max() > _LARGEST:
            break
        if np.abs(step).max() < _SHORT:
            return found, np.asarray(np.linalg.inv(information), dtype=np.float64)
    raise ValueError("No calibration line fits best: the probabilities separate the outcomes")


def _wald(value: float, variance: float) -> Estimate:
    half = NORMAL_95 * float(np.sqrt(variance))
    return Estimate(value=float(value), low=float(value) - half, high=float(value) + half)
