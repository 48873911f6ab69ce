"""The agreement of measured with true volumes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.evaluation.bootstrap import bootstrap_statistic
from training.evaluation.estimate import Estimate

#: Half width of the limits of agreement in standard deviations [1]_.
LIMITS_SD = 1.96

#: Fewer subjects or raters define no analysis of variance.
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


def absolute_agreement(ratings: NDArray[np.float64]) -> float | None:
    """Return ICC(2,1): two-way random effects, absolute agreement, single measurement [1]_.

    Parameters
    ----------
    ratings : ndarray of float64, shape (N, K)
        Value of each of N subjects by each of K raters.

    Returns
    -------
    float or None
        At most 1; None where nothing varies.

    Raises
    ------
    ValueError
        If there are fewer than two subjects or raters.

    References
    ----------
    .. [1] P. E. Shrout, J. L. Fleiss, "Intraclass correlations: uses in assessing rater
       reliability", Psychol. Bull. 86 (1979) 420-428.
    """
    if ratings.ndim != _FEWEST or min(ratings.shape) < _FEWEST:
        raise ValueError(f"ICC needs two subjects and two raters, got {ratings.shape}")
    subjects, raters = ratings.shape
    mean = ratings.mean()
    by_subject = raters * float(((ratings.mean(axis=1) - mean) ** 2).sum())
    by_rater = subjects * float(((ratings.mean(axis=0) - mean) ** 2).sum())
    rest = max(float(((ratings - mean) ** 2).sum()) - by_subject - by_rater, 0.0)
    between = by_subject / (subjects - 1)
    across = by_rater / (raters - 1)
    error = rest / ((subjects - 1) * (raters - 1))
    total = between + (raters - 1) * error + raters * (across - error) / subjects
    return (between - error) / total if total > 0 else None


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
