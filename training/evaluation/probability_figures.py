"""Reliability diagrams and decision curves of patients' probabilities."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from pipeline.statistics.calibration import ReliabilityGroup, calibration_error
from training.evaluation.decision_curve import DecisionCurve


def draw_reliability(
    path: Path, groups: Mapping[str, Sequence[ReliabilityGroup]], *, title: str
) -> None:
    """Draw what happened against what was promised, with Wilson's intervals."""
    figure = Figure(figsize=(4.8, 4.8), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="grey", linewidth=0.8)
    for name, found in groups.items():
        shares = [one.share for one in found]
        below = [max(share.value - share.low, 0) for share in shares]
        above = [max(share.high - share.value, 0) for share in shares]
        axes.errorbar(
            [one.mean_probability for one in found],
            [share.value for share in shares],
            yerr=[below, above],
            marker="o",
            markersize=4,
            capsize=2,
            linewidth=1,
            label=f"{name}: ECE {calibration_error(found):.3f}",
        )
    axes.set(
        xlabel="probability of expansion",
        ylabel="share that expanded",
        xlim=(-0.02, 1.02),
        ylim=(-0.02, 1.02),
    )
    axes.set_title(title, fontsize=10)
    axes.legend(fontsize=8, loc="upper left")
    figure.savefig(path, dpi=140)


def draw_decision_curves(path: Path, curves: Mapping[str, DecisionCurve], *, title: str) -> None:
    """Draw the net benefit of each classifier beside that of treating all and nobody."""
    figure = Figure(figsize=(5.6, 4.2), layout="constrained")
    axes = figure.subplots()
    axes.axhline(0, color="grey", linewidth=0.8, label="act on nobody")
    top = 0.01
    for number, (name, curve) in enumerate(curves.items()):
        if number == 0:
            axes.plot(
                curve.thresholds, curve.treat_all, color="black", linewidth=0.8, label="act on all"
            )
        axes.plot(curve.thresholds, curve.model, label=name)
        top = max(top, float(curve.model.max()), float(curve.treat_all.max()))
    axes.set(
        xlabel="probability from which somebody would act",
        ylabel="net benefit per patient",
        ylim=(-0.25 * top, 1.1 * top),
    )
    axes.set_title(title, fontsize=10)
    axes.legend(fontsize=8)
    figure.savefig(path, dpi=140)
