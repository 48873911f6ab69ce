"""The watch as a picture: ROC curve, reliability, drift over time."""

from pathlib import Path
from typing import TYPE_CHECKING

from dicom_node.watch.drift import NAMES
from dicom_node.watch.performance import Performance
from dicom_node.watch.watched import Watched

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SIZE_INCH = (15.0, 4.6)
_DPI = 110
_QUIET = "0.6"


def draw_watch(path: Path, watched: Watched) -> None:
    """Write the picture of the version in use as a PNG file."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=_SIZE_INCH, dpi=_DPI, layout="constrained")
    roc, reliability, drift = figure.subplots(1, 3)
    report = watched.report
    performance = report.versions[0].performance if report.versions else None
    _draw_roc(roc, performance)
    _draw_reliability(reliability, performance)
    _draw_drift(drift, watched)
    words = f"{report.versions[0].version}. " if report.versions else ""
    figure.suptitle(f"{words}RESEARCH USE ONLY", fontsize=10)
    figure.savefig(path, format="png", metadata={"Software": None})


def _draw_roc(axes: "Axes", performance: Performance | None) -> None:
    axes.set(
        title="Expansion predicted", xlabel="1 - specificity", ylabel="sensitivity", aspect="equal"
    )
    axes.plot([0, 1], [0, 1], color=_QUIET, linestyle=":", linewidth=1)
    if performance is None or performance.roc is None:
        _say(axes, "no ROC curve: both outcomes are needed")
        return
    curve, area = performance.roc, performance.auc
    label = "AUC not known" if area is None else f"AUC {area}"
    axes.plot(curve.false_alarm_rate, curve.sensitivity, color="C0", label=label)
    axes.legend(loc="lower right", fontsize=8)


def _draw_reliability(axes: "Axes", performance: Performance | None) -> None:
    axes.set(
        title="Promise and truth",
        xlabel="mean probability",
        ylabel="share that expanded",
        xlim=(0, 1),
        ylim=(0, 1),
        aspect="equal",
    )
    axes.plot([0, 1], [0, 1], color=_QUIET, linestyle=":", linewidth=1)
    if performance is None or not performance.reliability:
        _say(axes, "too few patients with an outcome")
        return
    groups = performance.reliability
    shares = [one.share for one in groups]
    axes.errorbar(
        [one.mean_probability for one in groups],
        [one.value for one in shares],
        yerr=[
            [one.value - one.low for one in shares],
            [one.high - one.value for one in shares],
        ],
        fmt="o",
        color="C0",
        capsize=3,
        label=f"{performance.pairs} patients, 95 % intervals",
    )
    axes.legend(loc="upper left", fontsize=8)


def _draw_drift(axes: "Axes", watched: Watched) -> None:
    axes.set(title="Drift", ylabel="population stability index")
    axes.axhline(watched.report.rules.drift_psi, color="C3", linestyle="--", linewidth=1)
    drawn = {what: points for what, points in watched.history.items() if points}
    if not drawn:
        _say(axes, "too few analyses to judge")
        return
    for what, points in drawn.items():
        # matplotlib turns times into places by itself; its types do not say so
        moments = [one.at for one in points]
        axes.plot(
            moments,  # type: ignore[arg-type] # as above
            [one.psi for one in points],
            marker=".",
            linewidth=1,
            label=NAMES[what],
        )
    axes.tick_params(axis="x", labelrotation=30, labelsize=8)
    axes.legend(loc="upper left", fontsize=7)


def _say(axes: "Axes", words: str) -> None:
    axes.text(0.5, 0.5, words, ha="center", va="center", transform=axes.transAxes, fontsize=9)
