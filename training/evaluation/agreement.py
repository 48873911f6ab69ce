"""The agreement of measured with true volumes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.statistics.estimate import Estimate
from training.evaluation.agreement_statistics import absolute_agreement
from training.evaluation.bootstrap import bootstrap_statistic

#: Half width of the limits of agreement in standard deviations [1]_.
LIMITS_SD = 1.96

#: Fewer pairs have no spread.
_FEWEST = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class BlandAltman:
    """Limits of agreement of two measurements [1]_, with 95 % intervals over patients.

    Attributes
    ----------
    bias : Estimate
        Mean of measured minus true.
    lower_limit, upper_limit : Estimate
        Bias less and plus 1.96 standard deviations of the differences.

    References
    ----------
    .. [1] J. M. Bland, D. G. Altman, "Statistical methods for assessing agreement between two
       methods of clinical measurement", Lancet 327 (1986) 307-310.
    """

    bias: Estimate
    lower_limit: Estimate
    upper_limit: Estimate


def bland_altman(
    measured: Sequence[float],
    true: Sequence[float],
    patients: Sequence[str],
    *,
    seed: int = 0,
    draws: int = 2000,
) -> BlandAltman:
    """Return bias and limits of agreement.

    Raises
    ------
    ValueError
        If there are fewer than two pairs or their numbers differ.
    """
    if len(measured) != len(true) or len(measured) < _FEWEST:
        raise ValueError(f"Limits need two pairs, got {len(measured)} and {len(true)} values")
    differences = np.subtract(measured, true)

    def limit(width: float) -> Callable[[NDArray[np.intp]], float]:
        def of_cases(cases: NDArray[np.intp]) -> float:
            drawn = differences[cases]
            return float(drawn.mean() + width * drawn.std(ddof=1))

        return of_cases

    lower, bias, upper = (
        bootstrap_statistic(limit(width), patients, rng=np.random.default_rng(seed), draws=draws)
        for width in (-LIMITS_SD, 0.0, LIMITS_SD)
    )
    return BlandAltman(bias=bias, lower_limit=lower, upper_limit=upper)


def volume_icc(
    measured: Sequence[float],
    true: Sequence[float],
    patients: Sequence[str],
    *,
    seed: int = 0,
    draws: int = 2000,
) -> Estimate:
    """Return ICC(2,1) of measured and true volumes with its 95 % interval over patients.

    Raises
    ------
    ValueError
        If there are fewer than two pairs, their numbers differ or nothing varies.
    """
    if len(measured) != len(true):
        raise ValueError(f"{len(measured)} volumes cannot be paired with {len(true)}")
    ratings = np.stack([measured, true], axis=1).astype(np.float64)

    def of_cases(cases: NDArray[np.intp]) -> float | None:
        return absolute_agreement(ratings[cases])

    return bootstrap_statistic(of_cases, patients, rng=np.random.default_rng(seed), draws=draws)
