"""Marks: what, taken alone, gives synthetic slices away. A probe says that, a mark says what."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.statistics.roc import auc
from training.synthesis.quality.probe import statistics_of

#: What `statistics_of` returns, in its order. Bands of the spectrum go from coarse to fine.
STATISTIC_NAMES = (
    *("height", "width", "aspect", "mean grey", "contrast"),
    *(f"{tenth}0 % quantile of grey" for tenth in range(1, 10)),
    *("share of black", "share of white"),
    *(f"spectrum band {band} of 8" for band in range(1, 9)),
)

#: Marks in a report.
_SHOWN = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """One statistic of slices.

    Attributes
    ----------
    name : str
        Which.
    auc : float
        By it alone: above 0.5 synthetic slices have more of it, below less.
    """

    name: str
    auc: float

    def __str__(self) -> str:
        return f"{self.name} {self.auc:.2f}"


def strongest_marks(
    synthetic: Sequence[NDArray[np.uint8]], real: Sequence[NDArray[np.uint8]]
) -> tuple[Mark, ...]:
    """Return the statistics by which synthetic slices differ most, the strongest first."""
    values = np.stack([statistics_of(image) for image in (*synthetic, *real)])
    target = np.arange(len(values)) < len(synthetic)
    marks = [
        Mark(name=name, auc=auc(target, column))
        for name, column in zip(STATISTIC_NAMES, values.T, strict=True)
    ]
    return tuple(sorted(marks, key=lambda one: -abs(one.auc - 0.5))[:_SHOWN])
