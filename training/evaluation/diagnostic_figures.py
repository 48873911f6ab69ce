"""Bar charts of measures and confusion matrices: figure 6B, D, F and G of the npj study."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from pipeline.statistics.confusion import DiagnosticMeasure
from pipeline.statistics.estimate import Estimate
from training.evaluation.diagnostic import Diagnostics

_TITLES = {
    DiagnosticMeasure.ACCURACY: "accuracy",
    DiagnosticMeasure.SENSITIVITY: "sensitivity",
    DiagnosticMeasure.SPECIFICITY: "specificity",
    DiagnosticMeasure.PPV: "PPV",
    DiagnosticMeasure.NPV: "NPV",
}


def draw_measures(
    path: Path,
    diagnostics: Mapping[str, Diagnostics],
    *,
    aucs: Mapping[str, Estimate],
    title: str,
) -> None:
    """Draw AUC and every measure of several classifiers as bars with 95 % intervals.

    The intervals are those of the bootstrap over patients; a share of nothing has no bar.
    """
    names = list(diagnostics)
    labels = ["AUC", *_TITLES.values()]
    figure = Figure(figsize=(max(6.0, 1.1 * len(labels) + 1), 3.8), layout="constrained")
    axes = figure.subplots()
    width = 0.8 / max(len(names), 1)
    for number, name in enumerate(names):
        shares = diagnostics[name].shares
        found = [aucs[name], *(shares[measure].bootstrap for measure in _TITLES)]
        for place, estimate in enumerate(found):
            if estimate is None:
                continue
            middle = place + (number - (len(names) - 1) / 2) * width
            reach = [
                [max(estimate.value - estimate.low, 0)],
                [max(estimate.high - estimate.value, 0)],
            ]
            axes.bar(
                middle,
                estimate.value,
                width * 0.92,
                yerr=reach,
                capsize=2,
                color=f"C{number}",
                label=name if place == 0 else None,
            )
    axes.set_xticks(np.arange(len(labels)), labels)
    axes.set_ylim(0, 1)
    axes.set_title(title, fontsize=10)
    axes.legend(fontsize=8, ncols=max(len(names), 1), loc="lower left")
    figure.savefig(path, dpi=140)


def draw_confusions(path: Path, diagnostics: Mapping[str, Diagnostics], *, title: str) -> None:
    """Draw the table of calls against outcomes of each classifier."""
    figure = Figure(figsize=(2.7 * max(len(diagnostics), 1) + 0.4, 3.2), layout="constrained")
    panels = figure.subplots(1, len(diagnostics), squeeze=False)[0]
    for axes, (name, one) in zip(panels, diagnostics.items(), strict=True):
        table = one.confusion
        counts = np.array(
            [
                [table.true_positives, table.false_negatives],
                [table.false_positives, table.true_negatives],
            ]
        )
        shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        for row in range(2):
            for column in range(2):
                axes.text(
                    column,
                    row,
                    f"{counts[row, column]}\n{100 * shares[row, column]:.0f} %",
                    ha="center",
                    va="center",
                    color="white" if shares[row, column] > 0.5 else "black",  # noqa: PLR2004  half
                )
        axes.set_xticks([0, 1], ["HE", "NHE"])
        axes.set_yticks([0, 1], ["HE", "NHE"])
        axes.set(xlabel="called", ylabel="was", title=name)
    figure.suptitle(title, fontsize=10)
    figure.savefig(path, dpi=140)
