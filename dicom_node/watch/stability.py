"""Whether two distributions are one: population stability index and a test beside it.

References
----------
.. [1] N. Siddiqi, "Credit Risk Scorecards", Wiley 2006: the index and its customary limits 0.1
   (some change) and 0.25 (a major one).
.. [2] B. Yurdakul, J. Naranjo, "Statistical properties of the population stability index", J. Risk
   Model Validation 14 (2020): chance alone makes an index of about (bins - 1) (1/n + 1/m), so
   that small samples exceed any fixed limit without a change; hence the test beside it.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.training_statistics import QUANTILES, Distribution, Kinds

#: Every second quantile is a border of bins: ten bins of 10 % each.
_EVERY = 2

#: Half a case stands in for none, so that the logarithm exists.
_NONE_COUNTS = 0.5

#: Chi-square needs this many expected cases of each kind (W. G. Cochran, Biometrics 10 (1954)
#: 417-451); rarer kinds are counted together.
_EXPECTED = 5.0

_REST = "all rarer kinds"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """How far a distribution is from what is expected.

    Attributes
    ----------
    psi : float
        Population stability index [1]_; 0 for the same distribution.
    p_value : float
        Of Kolmogorov and Smirnov's test, or of the chi-square test for kinds.
    """

    psi: float
    p_value: float


def shift_of_values(expected: Distribution, values: Sequence[float]) -> Shift:
    """Return how far values are from a distribution that is known by its quantiles."""
    found = np.asarray(values, dtype=np.float64)
    return Shift(psi=_psi_of_values(expected, found), p_value=_ks(expected, found))


def shift_of_kinds(expected: Kinds, kinds: Sequence[str]) -> Shift:
    """Return how far the shares of kinds are from those that are expected."""
    names = sorted({*expected.shares, *kinds})
    before = {name: expected.shares.get(name, 0.0) * expected.cases for name in names}
    after = {name: float(kinds.count(name)) for name in names}
    before, after = _without_rare(before, after)
    return Shift(
        psi=_psi(np.array(list(before.values())), np.array(list(after.values()))),
        p_value=_chi_square(np.array([list(before.values()), list(after.values())])),
    )


def _psi_of_values(expected: Distribution, values: NDArray[np.float64]) -> float:
    quantiles = np.array(expected.quantiles)
    # values that occur often fall on several quantiles; their bins are one
    borders = np.unique(quantiles[_EVERY:-1:_EVERY])
    steps = np.searchsorted(quantiles, borders, side="right") - 1
    below = np.concatenate([[0.0], steps / (QUANTILES - 1), [1.0]])
    places = np.searchsorted(borders, values, side="left")
    counts = np.bincount(places, minlength=len(borders) + 1)
    return _psi(np.diff(below) * expected.cases, counts.astype(np.float64))


def _psi(before: NDArray[np.float64], after: NDArray[np.float64]) -> float:
    """Return sum (q - p) ln (q / p) of two counts of the same bins; empty bins count half."""
    kept = before + after > 0
    if not kept.any():
        return 0.0
    p, q = np.maximum(before[kept], _NONE_COUNTS), np.maximum(after[kept], _NONE_COUNTS)
    p, q = p / p.sum(), q / q.sum()
    return float(((q - p) * np.log(q / p)).sum())


def _ks(expected: Distribution, values: NDArray[np.float64]) -> float:
    """Return the two-sample p-value, the reference's distribution read between its quantiles."""
    # Not above: it costs the office half a second of its start, and many sites have no outcomes.
    from scipy.stats import kstwobign  # type: ignore[import-untyped] # scipy ships no types

    levels = np.linspace(0, 1, QUANTILES)
    ordered = np.sort(values)
    # of equal quantiles the highest level holds at the value, the lowest just below it
    at = _level(ordered, expected.quantiles, levels, side="right")
    before = _level(ordered, expected.quantiles, levels, side="left")
    steps = np.arange(len(ordered) + 1) / len(ordered)
    distance = max(float((steps[1:] - at).max()), float((before - steps[:-1]).max()), 0.0)
    effective = expected.cases * len(ordered) / (expected.cases + len(ordered))
    return float(kstwobign.sf(distance * math.sqrt(effective)))


def _level(
    values: NDArray[np.float64],
    quantiles: Sequence[float],
    levels: NDArray[np.float64],
    *,
    side: str,
) -> NDArray[np.float64]:
    """Return the share of the reference up to each value, or only below it (`side` left)."""
    known = np.array(quantiles)
    kept, first = np.unique(known, return_index=True)
    last = np.searchsorted(known, kept, side="right") - 1
    chosen = levels[last] if side == "right" else levels[first]
    return np.asarray(np.interp(values, kept, chosen, left=0.0, right=1.0), dtype=np.float64)


def _without_rare(
    before: Mapping[str, float], after: Mapping[str, float]
) -> tuple[dict[str, float], dict[str, float]]:
    """Return both counts with kinds that are too rare for the test counted together."""
    total = sum(before.values()) + sum(after.values())
    smaller = min(sum(before.values()), sum(after.values()))
    rare = {name for name in before if (before[name] + after[name]) * smaller < _EXPECTED * total}
    kept = [name for name in before if name not in rare]
    pooled = []
    for counts in (before, after):
        one = {name: counts[name] for name in kept}
        if rare:
            one[_REST] = sum(counts[name] for name in rare)
        pooled.append(one)
    return pooled[0], pooled[1]


def _chi_square(table: NDArray[np.float64]) -> float:
    kept = table[:, table.sum(axis=0) > 0]
    if kept.shape[1] < 2 or (kept.sum(axis=1) == 0).any():  # noqa: PLR2004  one kind cannot shift
        return 1.0
    from scipy.stats import chi2_contingency  # see `_ks`

    return float(chi2_contingency(kept, correction=False).pvalue)
