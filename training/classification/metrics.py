"""How well probabilities of expansion separate patients, with intervals."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: Two-sided 95 % point of the normal distribution.
NORMAL_95 = 1.959964


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A number with its 95 % interval.

    Attributes
    ----------
    value : float
        The estimate.
    low, high : float
        Ends of the interval.
    """

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} (95 % CI {self.low:.3f}-{self.high:.3f})"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RocCurve:
    """Sensitivity against false alarms for every threshold.

    Attributes
    ----------
    thresholds : ndarray of float64, shape (N,)
        Falling; the first is above every score.
    sensitivity, false_alarm_rate : ndarray of float64, shape (N,)
        Shares of HE and of NHE patients called HE at the threshold.
    """

    thresholds: NDArray[np.float64]
    sensitivity: NDArray[np.float64]
    false_alarm_rate: NDArray[np.float64]


def auc(expanded: NDArray[np.bool_], scores: NDArray[np.float64]) -> float:
    """Return the area under the ROC curve: the Mann-Whitney statistic, ties count half.

    Raises
    ------
    ValueError
        If one of the outcomes does not occur.
    """
    positives, negatives = scores[expanded], np.sort(scores[~expanded])
    if not len(positives) or not len(negatives):
        raise ValueError("An AUC needs patients of both outcomes")
    below = np.searchsorted(negatives, positives, side="left")
    not_above = np.searchsorted(negatives, positives, side="right")
    return float((below + not_above).sum() / 2 / (len(positives) * len(negatives)))


def bootstrap(
    statistic: Callable[[NDArray[np.bool_], NDArray[np.float64]], float],
    expanded: NDArray[np.bool_],
    scores: NDArray[np.float64],
    *,
    patients: Sequence[str],
    rng: np.random.Generator,
    resamples: int = 2000,
) -> Estimate:
    """Return a statistic with its percentile bootstrap interval over patients.

    Patients are drawn with replacement, each with all their cases, since cases of one patient
    are not independent. A draw in which an outcome does not occur is drawn again.

    Raises
    ------
    ValueError
        If one of the outcomes does not occur.
    """
    value = statistic(expanded, scores)
    names = np.asarray(patients)
    members = [np.flatnonzero(names == name) for name in np.unique(names)]
    values: list[float] = []
    while len(values) < resamples:
        drawn = rng.integers(len(members), size=len(members))
        cases = np.concatenate([members[index] for index in drawn])
        if 0 < expanded[cases].sum() < len(cases):
            values.append(statistic(expanded[cases], scores[cases]))
    low, high = np.percentile(values, [2.5, 97.5])
    return Estimate(value=value, low=float(low), high=float(high))


def wilson(count: int, total: int) -> Estimate:
    """Return a share with Wilson's score interval.

    References
    ----------
    .. [1] E. B. Wilson, "Probable inference, the law of succession, and statistical
       inference", J. Am. Stat. Assoc. 22 (1927) 209-212.
    """
    share, z2 = count / total, NORMAL_95**2
    middle = (share + z2 / (2 * total)) / (1 + z2 / total)
    half = (
        NORMAL_95 * np.sqrt(share * (1 - share) / total + z2 / (4 * total**2)) / (1 + z2 / total)
    )
    return Estimate(
        value=share, low=float(max(middle - half, 0)), high=float(min(middle + half, 1))
    )


def sensitivity(
    expanded: NDArray[np.bool_], scores: NDArray[np.float64], *, threshold: float
) -> Estimate:
    """Return the share of HE patients whose score reaches the threshold."""
    return wilson(int((scores[expanded] >= threshold).sum()), int(expanded.sum()))


def specificity(
    expanded: NDArray[np.bool_], scores: NDArray[np.float64], *, threshold: float
) -> Estimate:
    """Return the share of NHE patients whose score stays below the threshold."""
    return wilson(int((scores[~expanded] < threshold).sum()), int((~expanded).sum()))


def roc_curve(expanded: NDArray[np.bool_], scores: NDArray[np.float64]) -> RocCurve:
    """Return the ROC curve with one point per distinct score."""
    levels = np.unique(scores)[::-1]
    called = scores[None, :] >= levels[:, None]
    return RocCurve(
        thresholds=np.concatenate([[np.inf], levels]),
        sensitivity=np.concatenate([[0.0], called[:, expanded].mean(axis=1)]),
        false_alarm_rate=np.concatenate([[0.0], called[:, ~expanded].mean(axis=1)]),
    )


def youden_threshold(expanded: NDArray[np.bool_], scores: NDArray[np.float64]) -> float:
    """Return the threshold of greatest sensitivity + specificity - 1.

    It lies half way to the next lower score, so that it does not hang on the last digit of
    one patient's probability. Of equal ones the lowest is taken: a missed expansion is worse
    than a false alarm.

    References
    ----------
    .. [1] W. J. Youden, "Index for rating diagnostic tests", Cancer 3 (1950) 32-35.
    """
    curve = roc_curve(expanded, scores)
    gain = curve.sensitivity - curve.false_alarm_rate
    best = int(np.flatnonzero(gain >= gain.max() - 1e-12)[-1])
    if best == 0:
        return 1.0
    neighbours = curve.thresholds[best : best + 2]
    return float(neighbours.mean())
