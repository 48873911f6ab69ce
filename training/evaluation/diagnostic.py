"""Accuracy, sensitivity, specificity and predictive values of a call, with intervals."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from pipeline.statistics.confusion import (
    Confusion,
    DiagnosticMeasure,
    confusion_of,
    shares_of,
)
from pipeline.statistics.estimate import Estimate
from pipeline.statistics.proportion import wilson


@dataclass(frozen=True, slots=True, kw_only=True)
class DiagnosticShare:
    """One measure with both of its 95 % intervals.

    Attributes
    ----------
    count, total : int
        Cases counted, of how many.
    wilson : Estimate or None
        Score interval, which takes cases for independent; None where the total is 0.
    bootstrap : Estimate or None
        Percentile interval over drawn patients; None where the total is 0.
    """

    count: int
    total: int
    wilson: Estimate | None
    bootstrap: Estimate | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnostics:
    """What a threshold makes of scores.

    Attributes
    ----------
    confusion : Confusion
        The table.
    shares : mapping of DiagnosticMeasure to DiagnosticShare
        Every measure.
    """

    confusion: Confusion
    shares: Mapping[DiagnosticMeasure, DiagnosticShare]


def diagnose(
    positive: NDArray[np.bool_],
    called: NDArray[np.bool_],
    *,
    patients: Sequence[str],
    rng: np.random.Generator,
    draws: int = 2000,
) -> Diagnostics:
    """Return every measure with Wilson's interval and that of a bootstrap over patients.

    A draw of patients in which a measure has nothing to be a share of does not count for it.

    Parameters
    ----------
    positive, called : ndarray of bool, shape (N,)
        Outcome of each case, and what was said of it.
    patients : sequence of str
        Whose case each one is.

    Raises
    ------
    ValueError
        If there is no case, or not one call and one patient for each.
    """
    confusion = confusion_of(positive, called)
    drawn = _drawn_confusions(positive, called, patients=patients, rng=rng, draws=draws)
    shares = {
        measure: _share(*confusion.share(measure), drawn=drawn, measure=measure)
        for measure in DiagnosticMeasure
    }
    return Diagnostics(confusion=confusion, shares=MappingProxyType(shares))


def _drawn_confusions(
    positive: NDArray[np.bool_],
    called: NDArray[np.bool_],
    *,
    patients: Sequence[str],
    rng: np.random.Generator,
    draws: int,
) -> NDArray[np.int64]:
    """Return tp, fp, tn, fn of many draws of patients, shape (draws, 4)."""
    if len(patients) != len(positive):
        raise ValueError(f"{len(positive)} cases need as many patients, got {len(patients)}")
    kinds = np.stack(
        [positive & called, ~positive & called, ~positive & ~called, positive & ~called], axis=1
    )
    names, owner = np.unique(np.asarray(patients), return_inverse=True)
    of_patient = np.zeros((len(names), kinds.shape[1]), dtype=np.int64)
    np.add.at(of_patient, owner, kinds)
    chosen = rng.integers(len(names), size=(draws, len(names)))
    return np.asarray(of_patient[chosen].sum(axis=1), dtype=np.int64)


def _share(
    count: int, total: int, *, drawn: NDArray[np.int64], measure: DiagnosticMeasure
) -> DiagnosticShare:
    if total == 0:
        return DiagnosticShare(count=count, total=total, wilson=None, bootstrap=None)
    tp, fp, tn, fn = drawn.T
    counts, totals = shares_of(measure, tp=tp, fp=fp, tn=tn, fn=fn)
    values = counts[totals > 0] / totals[totals > 0]
    low, high = np.percentile(values, [2.5, 97.5]) if len(values) else (0.0, 1.0)
    return DiagnosticShare(
        count=count,
        total=total,
        wilson=wilson(count, total),
        bootstrap=Estimate(value=count / total, low=float(low), high=float(high)),
    )
