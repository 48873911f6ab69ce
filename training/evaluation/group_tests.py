"""Whether groups differ: the tests of a study's tables, by scipy, told in one form."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats  # type: ignore[import-untyped]  # scipy ships no types

#: Tables have two axes, tests two groups.
_FEWEST = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupDifference:
    """The outcome of a test of groups.

    Attributes
    ----------
    test : str
        Its name, for the foot of a table.
    statistic : float
        Chi-square, F, H or U.
    p_value : float
        Two-sided.
    """

    test: str
    statistic: float
    p_value: float


def chi_square(counts: NDArray[Any]) -> GroupDifference:
    """Return Pearson's chi-square test of a table of counts, without Yates' correction.

    Parameters
    ----------
    counts : ndarray, shape (groups, categories)
        How many of each group are of each category.

    Raises
    ------
    ValueError
        If the table is smaller than two by two, or a row or column is empty.
    """
    table = np.asarray(counts)
    if table.ndim != _FEWEST or min(table.shape) < _FEWEST:
        raise ValueError(f"A table of two groups and two categories is needed, got {table.shape}")
    if not (table.sum(axis=0).all() and table.sum(axis=1).all()):
        raise ValueError("A group or a category is empty")
    found = stats.chi2_contingency(table, correction=False)
    return _difference("chi-square test", found.statistic, found.pvalue)


def anova(groups: Sequence[NDArray[Any]]) -> GroupDifference:
    """Return the one-way analysis of variance of the means of groups.

    Raises
    ------
    ValueError
        If there are fewer than two groups, a group has fewer than two values, or nothing
        varies.
    """
    values = _checked(groups, fewest=_FEWEST)
    if len(np.unique(np.concatenate(values))) < _FEWEST:
        raise ValueError("All values are equal")
    found = stats.f_oneway(*values)
    return _difference("one-way ANOVA", found.statistic, found.pvalue)


def kruskal_wallis(groups: Sequence[NDArray[Any]]) -> GroupDifference:
    """Return the Kruskal-Wallis test of the ranks of groups, corrected for ties.

    Raises
    ------
    ValueError
        If there are fewer than two groups, a group is empty, or nothing varies.
    """
    values = _checked(groups, fewest=1)
    if len(np.unique(np.concatenate(values))) < _FEWEST:
        raise ValueError("All values are equal")
    found = stats.kruskal(*values)
    return _difference("Kruskal-Wallis test", found.statistic, found.pvalue)


def mann_whitney(first: NDArray[Any], second: NDArray[Any]) -> GroupDifference:
    """Return the two-sided Mann-Whitney U test; U is that of the first group.

    The p-value is exact where the groups are small and no values are equal, else by the
    normal distribution with corrections for ties and continuity.

    Raises
    ------
    ValueError
        If a group is empty.
    """
    one, other = _checked([first, second], fewest=1)
    found = stats.mannwhitneyu(one, other, alternative="two-sided")
    # where all values are equal the normal distribution has no width: nothing differs then
    p_value = 1.0 if np.isnan(found.pvalue) else found.pvalue
    return _difference("Mann-Whitney U test", found.statistic, p_value)


def _checked(groups: Sequence[NDArray[Any]], *, fewest: int) -> list[NDArray[np.float64]]:
    values = [np.asarray(group, dtype=np.float64).ravel() for group in groups]
    sizes = [len(group) for group in values]
    if len(values) < _FEWEST or min(sizes) < fewest:
        raise ValueError(f"Two groups of at least {fewest} values are needed, got {sizes}")
    if not all(np.isfinite(group).all() for group in values):
        raise ValueError("A value is absent or not finite")
    return values


def _difference(test: str, statistic: float, p_value: float) -> GroupDifference:
    return GroupDifference(test=test, statistic=float(statistic), p_value=float(p_value))
