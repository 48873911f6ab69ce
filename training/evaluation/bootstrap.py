"""Intervals by resampling patients, not scans."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.statistics.estimate import Estimate

#: A statistic of the cases with these indices; None where they do not define it.
Statistic = Callable[[NDArray[np.intp]], float | None]

#: Numbers of the cases with these indices; None where they do not define them.
Curve = Callable[[NDArray[np.intp]], NDArray[np.float64] | None]

#: So many draws per wanted one may be useless before the bootstrap gives up.
_PATIENCE = 50


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


def bootstrap_statistic(
    statistic: Statistic,
    patients: Sequence[str],
    *,
    rng: np.random.Generator,
    draws: int = 2000,
) -> Estimate:
    """Return a statistic of all cases with its 95 % percentile interval over patients.

    Parameters
    ----------
    statistic : callable
        From the indices of the drawn cases, shape (N,), with repetitions, to a number.
    patients : sequence of str
        Whose case each one is.

    Raises
    ------
    ValueError
        If the cases do not define the statistic, or hardly a draw of patients does.
    """
    value = statistic(np.arange(len(patients)))
    if value is None:
        raise ValueError(f"The statistic is not defined for these {len(patients)} cases")
    low, high = np.percentile(
        draw_statistic(statistic, patients, rng=rng, draws=draws), [2.5, 97.5]
    )
    return Estimate(value=value, low=float(low), high=float(high))


def draw_statistic(
    statistic: Statistic,
    patients: Sequence[str],
    *,
    rng: np.random.Generator,
    draws: int = 2000,
) -> NDArray[np.float64]:
    """Return the statistic of many draws of patients, shape (draws,).

    Patients are drawn with replacement, each with all their cases, since cases of one patient
    are not independent. A draw that does not define the statistic is drawn again.

    Raises
    ------
    ValueError
        If hardly a draw defines the statistic.
    """

    def as_curve(cases: NDArray[np.intp]) -> NDArray[np.float64] | None:
        value = statistic(cases)
        return None if value is None else np.array([value])

    return draw_curves(as_curve, patients, rng=rng, draws=draws)[:, 0]


def draw_curves(
    curve: Curve,
    patients: Sequence[str],
    *,
    rng: np.random.Generator,
    draws: int,
) -> NDArray[np.float64]:
    """Return several numbers of many draws of patients, shape (draws, numbers).

    Drawn as for `draw_statistic`.

    Raises
    ------
    ValueError
        If hardly a draw defines the numbers.
    """
    names = np.asarray(patients)
    members = [np.flatnonzero(names == name) for name in np.unique(names)]
    values: list[NDArray[np.float64]] = []
    for _ in range(_PATIENCE * draws):
        drawn = rng.integers(len(members), size=len(members))
        value = curve(np.concatenate([members[index] for index in drawn]))
        if value is not None:
            values.append(value)
        if len(values) == draws:
            return np.stack(values)
    raise ValueError(f"Only {len(values)} of {_PATIENCE * draws} draws define the statistic")
