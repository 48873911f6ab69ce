"""Variance and comparison of AUCs of the same cases.

References
----------
.. [1] E. R. DeLong, D. M. DeLong, D. L. Clarke-Pearson, "Comparing the areas under two or more
   correlated receiver operating characteristic curves: a nonparametric approach", Biometrics 44
   (1988) 837-845.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.statistics.estimate import Estimate
from pipeline.statistics.proportion import NORMAL_95

#: With fewer cases of an outcome no variance can be had.
_FEWEST = 2


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CorrelatedAucs:
    """AUCs of several scorers on the same cases.

    Attributes
    ----------
    aucs : ndarray of float64, shape (K,)
        One per scorer.
    covariance : ndarray of float64, shape (K, K)
        Their covariance, if the cases are independent.
    """

    aucs: NDArray[np.float64]
    covariance: NDArray[np.float64]

    def interval(self, scorer: int = 0) -> Estimate:
        """Return the AUC of a scorer with its normal 95 % interval, held within 0 and 1."""
        value = float(self.aucs[scorer])
        half = NORMAL_95 * math.sqrt(max(float(self.covariance[scorer, scorer]), 0.0))
        return Estimate(value=value, low=max(value - half, 0.0), high=min(value + half, 1.0))

    def difference(self, first: int = 0, second: int = 1) -> Estimate:
        """Return how much larger one AUC is than another, with its normal 95 % interval."""
        value = float(self.aucs[first] - self.aucs[second])
        half = NORMAL_95 * self._difference_sd(first, second)
        return Estimate(value=value, low=value - half, high=value + half)

    def p_value(self, first: int = 0, second: int = 1) -> float:
        """Return the two-sided p-value of two AUCs being equal; 1 for identical rankings."""
        sd = self._difference_sd(first, second)
        difference = abs(float(self.aucs[first] - self.aucs[second]))
        if sd == 0:
            return 1.0 if difference == 0 else 0.0
        return math.erfc(difference / sd / math.sqrt(2))

    def _difference_sd(self, first: int, second: int) -> float:
        contrast = np.zeros(len(self.aucs))
        contrast[first] += 1
        contrast[second] -= 1
        return math.sqrt(max(float(contrast @ self.covariance @ contrast), 0.0))


def delong(positive: NDArray[np.bool_], scores: NDArray[np.float64]) -> CorrelatedAucs:
    """Return the AUCs of several scorers with their covariance by DeLong's method [1]_.

    Cases count as independent. Slices of one patient are not: for them the interval is too
    narrow, and `training.evaluation.detection.compare_detectors` draws patients instead.

    Parameters
    ----------
    positive : ndarray of bool, shape (N,)
        Outcome of each case.
    scores : ndarray of float64, shape (K, N)
        What each scorer says of it.

    Raises
    ------
    ValueError
        If there are fewer than two cases of an outcome.
    """
    if min(int(positive.sum()), int((~positive).sum())) < _FEWEST:
        raise ValueError("DeLong's variance needs two cases of each outcome")
    # Share of the other outcome that each case is on the right side of, [1]_ eq. (4) and (5).
    of_hits = np.stack([_share_below(row[positive], row[~positive]) for row in scores])
    of_others = np.stack([1 - _share_below(row[~positive], row[positive]) for row in scores])
    covariance = np.atleast_2d(np.cov(of_hits)) / of_hits.shape[1]
    covariance += np.atleast_2d(np.cov(of_others)) / of_others.shape[1]
    return CorrelatedAucs(aucs=of_hits.mean(axis=1), covariance=covariance)


def _share_below(values: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return which share of the others lies below each value, ties counted half."""
    others = np.sort(others)
    below = np.searchsorted(others, values, side="left")
    not_above = np.searchsorted(others, values, side="right")
    return np.asarray((below + not_above) / 2 / len(others), dtype=np.float64)
