"""Intervals by resampling patients, not scans."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True, kw_only=True)
class MeanWithInterval:
    """A mean over scans with the percentile interval of a bootstrap over patients."""

    mean: float
    low: float
    high: float
    scans: int
    patients: int


def bootstrap_mean(
    values: Sequence[float],
    patients: Sequence[str],
    *,
    rng: np.random.Generator,
    draws: int = 2000,
    level: float = 0.95,
) -> MeanWithInterval:
    """Return the mean with its interval, drawing whole patients with replacement.

    Scans of one patient resemble one another; drawing scans would make the interval too narrow.

    Raises
    ------
    ValueError
        If there are no values, or not one patient for each.
    """
    if not values or len(values) != len(patients):
        raise ValueError(f"{len(values)} values need as many patients, got {len(patients)}")
    groups: dict[str, list[float]] = defaultdict(list)
    for value, patient in zip(values, patients, strict=True):
        groups[patient].append(value)
    sums = np.array([sum(group) for group in groups.values()])
    counts = np.array([len(group) for group in groups.values()])
    chosen = rng.integers(len(sums), size=(draws, len(sums)))
    means = sums[chosen].sum(axis=1) / counts[chosen].sum(axis=1)
    tail = (1 - level) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return MeanWithInterval(
        mean=float(np.mean(values)),
        low=float(low),
        high=float(high),
        scans=len(values),
        patients=len(groups),
    )
