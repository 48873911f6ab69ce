"""How far raters agree: intraclass correlation and the kappas, with 95 % intervals.

References
----------
.. [1] P. E. Shrout, J. L. Fleiss, "Intraclass correlations: uses in assessing rater
   reliability", Psychol. Bull. 86 (1979) 420-428.
.. [2] K. O. McGraw, S. P. Wong, "Forming inferences about some intraclass correlation
   coefficients", Psychol. Methods 1 (1996) 30-46.
.. [3] J. L. Fleiss, "Measuring nominal scale agreement among many raters", Psychol. Bull. 76
   (1971) 378-382.
.. [4] K. L. Gwet, "Computing inter-rater reliability and its variance in the presence of high
   agreement", Br. J. Math. Stat. Psychol. 61 (2008) 29-48.
.. [5] J. L. Fleiss, J. Cohen, B. S. Everitt, "Large sample standard errors of kappa and weighted
   kappa", Psychol. Bull. 72 (1969) 323-327.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats  # type: ignore[import-untyped]  # scipy ships no types

from pipeline.statistics.estimate import Estimate
from pipeline.statistics.proportion import NORMAL_95

#: Fewer subjects or raters define neither variance nor agreement.
_FEWEST = 2

#: Tables and matrices have so many axes.
_TWO_AXES = 2

#: Probability below the upper end of a two-sided 95 % interval.
_UPPER = 0.975


class DisagreementWeight(StrEnum):
    """How much a disagreement of two raters counts in Cohen's kappa."""

    EQUAL = "equal"  #: every disagreement alike: the plain kappa
    LINEAR = "linear"  #: by the distance of the two grades
    QUADRATIC = "quadratic"  #: by the squared distance of the two grades


@dataclass(frozen=True, slots=True, kw_only=True)
class _MeanSquares:
    """Mean squares of the two-way analysis of variance without repetition."""

    subjects: int
    raters: int
    between_subjects: float
    between_raters: float
    error: float


def icc_2_1(ratings: NDArray[Any]) -> Estimate:
    """Return ICC(2,1): two-way random effects, absolute agreement, single rating [1]_.

    Parameters
    ----------
    ratings : ndarray, shape (N, K)
        What each of K raters said of each of N subjects.

    Returns
    -------
    Estimate
        At most 1, with the interval by the F distribution [2]_.

    Raises
    ------
    ValueError
        If there are fewer than two subjects or raters, a rating is absent or nothing varies.
    """
    values = np.asarray(ratings, dtype=np.float64)
    if not np.isfinite(values).all():
        raise ValueError("ICC needs a rating of every subject by every rater")
    squares = _mean_squares(values)
    icc = _icc(squares)
    if icc is None:
        raise ValueError("ICC is not defined where all ratings are equal")
    low, high = _icc_interval(squares, icc)
    return Estimate(value=icc, low=low, high=high)


def absolute_agreement(ratings: NDArray[np.float64]) -> float | None:
    """Return ICC(2,1) alone, for those who resample it; None where nothing varies.

    Raises
    ------
    ValueError
        If there are fewer than two subjects or raters.
    """
    return _icc(_mean_squares(ratings))


def rating_counts(labels: NDArray[Any], *, categories: Sequence[Any]) -> NDArray[np.int64]:
    """Return how many raters put each subject into each category, for `fleiss_kappa`.

    Parameters
    ----------
    labels : ndarray, shape (N, K)
        Category that each of K raters chose for each of N subjects.
    categories : sequence
        All that could be chosen.

    Returns
    -------
    ndarray of int64, shape (N, len(categories))

    Raises
    ------
    ValueError
        If a label is no category.
    """
    counts = np.stack([(labels == one).sum(axis=1) for one in categories], axis=1)
    if (counts.sum(axis=1) != labels.shape[1]).any():
        raise ValueError(f"A label is none of the categories {list(categories)}")
    return np.asarray(counts, dtype=np.int64)


def fleiss_kappa(counts: NDArray[Any]) -> Estimate:
    """Return Fleiss' kappa of several raters [3]_.

    Parameters
    ----------
    counts : ndarray, shape (N, C)
        How many raters put each of N subjects into each of C categories; every subject has
        the same number of raters, not necessarily the same persons.

    Returns
    -------
    Estimate
        At most 1, with the large-sample interval [4]_, which does not suppose that the true
        agreement is that of chance.

    Raises
    ------
    ValueError
        If there are fewer than two subjects or raters, subjects have different numbers of
        raters, or all ratings are one category.
    """
    table = np.asarray(counts, dtype=np.float64)
    if table.ndim != _TWO_AXES or len(table) < _FEWEST or (table < 0).any():
        raise ValueError(f"Kappa needs counts of two subjects or more, got {table.shape}")
    raters = float(table[0].sum())
    if raters < _FEWEST or (table.sum(axis=1) != raters).any():
        raise ValueError("Kappa needs two raters or more, the same number for every subject")
    shares = table.sum(axis=0) / table.sum()
    by_chance = float((shares**2).sum())
    if by_chance == 1:
        raise ValueError("Kappa is not defined where all ratings are one category")
    agreeing = (table * (table - 1)).sum(axis=1) / (raters * (raters - 1))
    each = (agreeing - by_chance) / (1 - by_chance)
    kappa = float(each.mean())
    # The chance agreement is estimated too: [4]_ takes its share off each subject's kappa.
    chance_each = (table / raters) @ shares
    each -= 2 * (1 - kappa) * (chance_each - by_chance) / (1 - by_chance)
    variance = float(((each - kappa) ** 2).sum()) / (len(table) * (len(table) - 1))
    return _normal_interval(kappa, math.sqrt(variance))


def agreement_table(
    first: Sequence[Any], second: Sequence[Any], *, categories: Sequence[Any]
) -> NDArray[np.int64]:
    """Return how often two raters chose each pair of categories, for `cohen_kappa`.

    Raises
    ------
    ValueError
        If the numbers of labels differ or a label is no category.
    """
    places = {category: place for place, category in enumerate(categories)}
    table = np.zeros((len(places), len(places)), dtype=np.int64)
    for one, other in zip(first, second, strict=True):
        if one not in places or other not in places:
            raise ValueError(f"{one!r} or {other!r} is none of {list(categories)}")
        table[places[one], places[other]] += 1
    return table


def cohen_kappa(
    table: NDArray[Any], *, weight: DisagreementWeight = DisagreementWeight.EQUAL
) -> Estimate:
    """Return Cohen's kappa of two raters, plain or weighted, with its interval [5]_.

    Parameters
    ----------
    table : ndarray, shape (C, C)
        How often the first rater chose the row's category and the second the column's; graded
        categories in their order.
    weight : DisagreementWeight
        How much a disagreement counts.

    Raises
    ------
    ValueError
        If the table is not square, holds fewer than two subjects, or both raters used but one
        and the same category.
    """
    counts = np.asarray(table, dtype=np.float64)
    total = float(counts.sum())
    if counts.ndim != _TWO_AXES or counts.shape[0] != counts.shape[1] or total < _FEWEST:
        raise ValueError(f"Kappa needs a square table of two subjects or more, {counts.shape}")
    shares, credit = counts / total, _credit(len(counts), weight)
    rows, columns = shares.sum(axis=1), shares.sum(axis=0)
    by_chance = float(rows @ credit @ columns)
    if math.isclose(by_chance, 1.0):
        raise ValueError("Kappa is not defined where both raters used one category only")
    kappa = (float((shares * credit).sum()) - by_chance) / (1 - by_chance)
    spread = credit - ((credit @ columns)[:, None] + (rows @ credit)[None]) * (1 - kappa)
    variance = float((shares * spread**2).sum()) - (kappa - by_chance * (1 - kappa)) ** 2
    return _normal_interval(kappa, math.sqrt(max(variance, 0.0) / total) / (1 - by_chance))


def _mean_squares(ratings: NDArray[np.float64]) -> _MeanSquares:
    if ratings.ndim != _TWO_AXES or min(ratings.shape) < _FEWEST:
        raise ValueError(f"ICC needs two subjects and two raters, got {ratings.shape}")
    subjects, raters = ratings.shape
    mean = ratings.mean()
    by_subject = raters * float(((ratings.mean(axis=1) - mean) ** 2).sum())
    by_rater = subjects * float(((ratings.mean(axis=0) - mean) ** 2).sum())
    rest = max(float(((ratings - mean) ** 2).sum()) - by_subject - by_rater, 0.0)
    return _MeanSquares(
        subjects=subjects,
        raters=raters,
        between_subjects=by_subject / (subjects - 1),
        between_raters=by_rater / (raters - 1),
        error=rest / ((subjects - 1) * (raters - 1)),
    )


def _icc(squares: _MeanSquares) -> float | None:
    between, error, raters = squares.between_subjects, squares.error, squares.raters
    offset = raters * (squares.between_raters - error) / squares.subjects
    total = between + (raters - 1) * error + offset
    return (between - error) / total if total > 0 else None


def _icc_interval(squares: _MeanSquares, icc: float) -> tuple[float, float]:
    """Return the ends of the 95 % interval, [2]_ table 7, case 2A."""
    n, k = squares.subjects, squares.raters
    between, across, error = squares.between_subjects, squares.between_raters, squares.error
    of_raters = k * icc * across
    of_error = (n * (1 + (k - 1) * icc) - k * icc) * error
    spread = (n - 1) * of_raters**2 + of_error**2
    if spread == 0:  # all raters say the same of every subject
        return icc, icc
    freedom = (k - 1) * (n - 1) * (of_raters + of_error) ** 2 / spread
    below = float(stats.f.ppf(_UPPER, n - 1, freedom))
    above = float(stats.f.ppf(_UPPER, freedom, n - 1))
    rest = k * across + (k * n - k - n) * error
    return (
        n * (between - below * error) / (below * rest + n * between),
        n * (above * between - error) / (rest + n * above * between),
    )


def _credit(categories: int, weight: DisagreementWeight) -> NDArray[np.float64]:
    """Return how much each pair of categories counts as agreement, shape (C, C)."""
    if weight is DisagreementWeight.EQUAL or categories == 1:
        return np.eye(categories)
    grades = np.arange(categories)
    distance = np.abs(grades[:, None] - grades[None]) / (categories - 1)
    power = 1 if weight is DisagreementWeight.LINEAR else 2
    return np.asarray(1 - distance**power, dtype=np.float64)


def _normal_interval(kappa: float, sd: float) -> Estimate:
    half = NORMAL_95 * sd
    return Estimate(value=kappa, low=max(kappa - half, -1.0), high=min(kappa + half, 1.0))
