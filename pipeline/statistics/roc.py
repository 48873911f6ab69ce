"""How well scores separate positive cases from negative ones."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RocCurve:
    """Sensitivity against false alarms for every threshold.

    Attributes
    ----------
    thresholds : ndarray of float64, shape (N,)
        Falling; the first is above every score.
    sensitivity, false_alarm_rate : ndarray of float64, shape (N,)
        Shares of the positive and of the negative cases called positive at the threshold.
    """

    thresholds: NDArray[np.float64]
    sensitivity: NDArray[np.float64]
    false_alarm_rate: NDArray[np.float64]


def auc(positive: NDArray[np.bool_], scores: NDArray[np.float64]) -> float:
    """Return the area under the ROC curve: the Mann-Whitney statistic, ties count half.

    Raises
    ------
    ValueError
        If one of the outcomes does not occur.
    """
    hits, others = scores[positive], np.sort(scores[~positive])
    if not len(hits) or not len(others):
        raise ValueError("An AUC needs cases of both outcomes")
    below = np.searchsorted(others, hits, side="left")
    not_above = np.searchsorted(others, hits, side="right")
    return float((below + not_above).sum() / 2 / (len(hits) * len(others)))


def auc_or_none(positive: NDArray[np.bool_], scores: NDArray[np.float64]) -> float | None:
    """Return the AUC, None where only one outcome occurs."""
    if positive.all() or not positive.any():
        return None
    return auc(positive, scores)


def roc_curve(positive: NDArray[np.bool_], scores: NDArray[np.float64]) -> RocCurve:
    """Return the ROC curve with one point per distinct score."""
    levels = np.unique(scores)[::-1]
    hits, others = np.sort(scores[positive]), np.sort(scores[~positive])
    called_hits = len(hits) - np.searchsorted(hits, levels, side="left")
    called_others = len(others) - np.searchsorted(others, levels, side="left")
    return RocCurve(
        thresholds=np.concatenate([[np.inf], levels]),
        sensitivity=np.concatenate([[0.0], called_hits / len(hits)]),
        false_alarm_rate=np.concatenate([[0.0], called_others / len(others)]),
    )
