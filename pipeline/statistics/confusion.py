"""Calls against outcomes, and the shares that are taken of them."""

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

#: A number of cases, or that of many draws.
Counts = TypeVar("Counts", int, NDArray[np.int64])


class DiagnosticMeasure(StrEnum):
    """Shares of a table of calls against outcomes."""

    ACCURACY = "accuracy"  #: called rightly, of all
    SENSITIVITY = "sensitivity"  #: called positive, of those that are
    SPECIFICITY = "specificity"  #: called negative, of those that are
    PPV = "ppv"  #: are positive, of those called positive
    NPV = "npv"  #: are negative, of those called negative


@dataclass(frozen=True, slots=True, kw_only=True)
class Confusion:
    """How calls and outcomes meet.

    Attributes
    ----------
    true_positives, false_positives, true_negatives, false_negatives : int
        Cases of each kind.
    """

    true_positives: int
    false_positives: int
    true_negatives: int
    false_negatives: int

    def share(self, measure: DiagnosticMeasure) -> tuple[int, int]:
        """Return counted cases and cases they are a share of."""
        return shares_of(
            measure,
            tp=self.true_positives,
            fp=self.false_positives,
            tn=self.true_negatives,
            fn=self.false_negatives,
        )


def confusion_of(positive: NDArray[np.bool_], called: NDArray[np.bool_]) -> Confusion:
    """Return the table of outcomes and calls.

    Raises
    ------
    ValueError
        If there is no case, or not one call for each.
    """
    if positive.shape != called.shape or not positive.size:
        raise ValueError(f"{positive.size} outcomes cannot be compared with {called.size} calls")
    return Confusion(
        true_positives=int((positive & called).sum()),
        false_positives=int((~positive & called).sum()),
        true_negatives=int((~positive & ~called).sum()),
        false_negatives=int((positive & ~called).sum()),
    )


def shares_of(
    measure: DiagnosticMeasure, *, tp: Counts, fp: Counts, tn: Counts, fn: Counts
) -> tuple[Counts, Counts]:
    """Return counted cases and cases they are a share of, for one table or many."""
    match measure:
        case DiagnosticMeasure.ACCURACY:
            return tp + tn, tp + fp + tn + fn
        case DiagnosticMeasure.SENSITIVITY:
            return tp, tp + fn
        case DiagnosticMeasure.SPECIFICITY:
            return tn, tn + fp
        case DiagnosticMeasure.PPV:
            return tp, tp + fp
        case DiagnosticMeasure.NPV:
            return tn, tn + fn
