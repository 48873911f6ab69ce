"""ROC curves with bands: figure 6A, C and E of the npj study."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from pipeline.statistics.estimate import Estimate
from pipeline.statistics.roc import roc_curve
from training.evaluation.bootstrap import draw_curves

#: False alarm rates at which the band is taken.
_GRID = np.linspace(0, 1, 101)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RocEntry:
    """One scorer of a figure.

    Attributes
    ----------
    name : str
        In the legend.
    positive : ndarray of bool, shape (N,)
        Outcome of each case.
    scores : ndarray of float64, shape (N,)
        What the scorer says.
    patients : sequence of str
        Whose case each one is; the band is over patients.
    auc : Estimate
        With its interval.
    working_point : tuple of float or None
        False alarm rate and sensitivity at the threshold.
    """

    name: str
    positive: NDArray[np.bool_]
    scores: NDArray[np.float64]
    patients: Sequence[str]
    auc: Estimate
    working_point: tuple[float, float] | None = None


def roc_band(
    entry: RocEntry, *, rng: np.random.Generator, draws: int = 500
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return ends of the pointwise 95 % band of sensitivity at 101 false alarm rates.

    Draws of patients without one of the outcomes do not count.
    """

    def sensitivities(cases: NDArray[np.intp]) -> NDArray[np.float64] | None:
        positive = entry.positive[cases]
        if positive.all() or not positive.any():
            return None
        return _sensitivity_at(positive, entry.scores[cases])

    curves = draw_curves(sensitivities, entry.patients, rng=rng, draws=draws)
    low, high = np.percentile(curves, [2.5, 97.5], axis=0)
    return low, high


def draw_roc(
    path: Path, entries: Sequence[RocEntry], *, title: str, seed: int = 0, draws: int = 500
) -> None:
    """Draw the curves of several scorers with their bands and working points."""
    figure = Figure(figsize=(5.2, 5.2), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="grey", linewidth=0.8)
    for number, entry in enumerate(entries):
        colour = f"C{number}"
        low, high = roc_band(entry, rng=np.random.default_rng(seed), draws=draws)
        axes.fill_between(_GRID, low, high, color=colour, alpha=0.15, linewidth=0)
        curve = roc_curve(entry.positive, entry.scores)
        axes.plot(
            curve.false_alarm_rate,
            curve.sensitivity,
            drawstyle="steps-post",
            color=colour,
            label=f"{entry.name}: AUC {entry.auc}",
        )
        if entry.working_point is not None:
            axes.plot(*entry.working_point, "o", color=colour, markersize=5)
    axes.set(
        xlabel="1 - specificity", ylabel="sensitivity", xlim=(-0.01, 1.01), ylim=(-0.01, 1.01)
    )
    axes.set_title(title, fontsize=10)
    axes.legend(loc="lower right", fontsize=7)
    figure.savefig(path, dpi=140)


def _sensitivity_at(
    positive: NDArray[np.bool_], scores: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the sensitivity that the curve reaches at each false alarm rate of the grid."""
    curve = roc_curve(positive, scores)
    last = np.searchsorted(curve.false_alarm_rate, _GRID + 1e-12, side="right") - 1
    return np.asarray(curve.sensitivity[last], dtype=np.float64)
