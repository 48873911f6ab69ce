"""Predicted against true volumes of every contestant."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from training.segmentation.benchmark.contest import Finished
from training.segmentation.benchmark.summary import ContestantSummary, bleeding

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Panels in a row, and the side of one in inches.
_PER_ROW, _SIDE = 4, 2.8

Values = NDArray[np.float64]


def draw_volumes(
    path: Path,
    finished: Sequence[Finished],
    summaries: Sequence[ContestantSummary],
    *,
    kind: str,
) -> None:
    """Draw predicted against true volume, a panel per contestant, with the line of identity."""
    highest = max(float(np.max(_volumes(one), initial=1.0)) for one in finished) * 1.05

    def panel(axes: "Axes", true: Values, predicted: Values, summary: ContestantSummary) -> None:
        axes.plot([0, highest], [0, highest], color="0.6", linewidth=0.8)
        axes.plot(true, predicted, ".", markersize=5, alpha=0.8)
        axes.set(xlim=(0, highest), ylim=(0, highest), aspect="equal")
        if summary.icc:
            axes.text(
                0.04, 0.94, f"ICC {summary.icc.value:.3f}", transform=axes.transAxes, va="top"
            )

    _panels(
        path, finished, summaries, panel, labels=("true volume, mL", "predicted, mL"), kind=kind
    )


def draw_bland_altman(
    path: Path,
    finished: Sequence[Finished],
    summaries: Sequence[ContestantSummary],
    *,
    kind: str,
) -> None:
    """Draw the volume's error against the mean of both volumes, with bias and limits."""
    worst = max(
        float(np.max(np.abs(np.subtract(*_volumes(one))), initial=1.0)) for one in finished
    )

    def panel(axes: "Axes", true: Values, predicted: Values, summary: ContestantSummary) -> None:
        axes.plot((true + predicted) / 2, predicted - true, ".", markersize=5, alpha=0.8)
        axes.set_ylim(-1.1 * worst, 1.1 * worst)
        axes.axhline(0, color="0.6", linewidth=0.8)
        if summary.limits is None:
            return
        for estimate, style in (
            (summary.limits.bias, "-"),
            (summary.limits.lower_limit, "--"),
            (summary.limits.upper_limit, "--"),
        ):
            axes.axhline(estimate.value, color="C3", linestyle=style, linewidth=1)
            axes.axhspan(estimate.low, estimate.high, color="C3", alpha=0.12, linewidth=0)

    labels = ("mean of both, mL", "predicted - true, mL")
    _panels(path, finished, summaries, panel, labels=labels, kind=kind)


def _panels(
    path: Path,
    finished: Sequence[Finished],
    summaries: Sequence[ContestantSummary],
    draw: Callable[["Axes", Values, Values, ContestantSummary], None],
    *,
    labels: tuple[str, str],
    kind: str,
) -> None:
    columns = min(_PER_ROW, len(finished))
    rows = math.ceil(len(finished) / columns)
    figure = Figure(figsize=(max(columns * _SIDE, 4), rows * _SIDE + 0.6), layout="constrained")
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for axes, one, summary in zip(grid.flat, finished, summaries, strict=False):
        predicted, true = _volumes(one)
        draw(axes, true, predicted, summary)
        axes.set_title(one.contestant.title, fontsize=10)
    for axes in grid.flat[len(finished) :]:
        axes.set_visible(False)
    figure.supxlabel(labels[0])
    figure.supylabel(labels[1])
    scans = len(bleeding(finished[0].rows))
    figure.suptitle(f"{scans} scans with hematoma, {kind}", fontsize=10)
    figure.savefig(path, dpi=140)


def _volumes(one: Finished) -> tuple[Values, Values]:
    """Return predicted and true volumes of scans with hematoma."""
    rows = bleeding(one.rows)
    predicted = np.array([row.score.predicted_ml for row in rows])
    return predicted, np.array([row.score.true_ml for row in rows])
