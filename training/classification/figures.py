"""Pictures of a fit: losses and validation AUC over the epochs, reliability."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from pipeline.statistics.calibration import reliability
from training.classification.fitting import EpochRecord, FittedClassifier, read_log
from training.evaluation.probability_figures import draw_reliability


def plot_log(path: Path, records: Sequence[EpochRecord]) -> None:
    """Draw losses and validation AUC over the epochs."""
    figure = Figure(figsize=(8, 5), layout="constrained")
    losses, areas = figure.subplots(2, 1, sharex=True)
    epochs = [record.epoch for record in records]
    losses.plot(epochs, [record.outcome_loss for record in records], label="outcome")
    losses.plot(epochs, [record.signs_loss for record in records], label="signs")
    losses.set_ylabel("training loss")
    losses.legend()
    areas.plot(epochs, [record.validation_auc for record in records], color="tab:green")
    areas.axhline(0.5, color="grey", linewidth=0.8)
    areas.set_ylabel("validation AUC, by patient")
    areas.set_xlabel("epoch")
    figure.savefig(path, dpi=120)


def draw_fit(output: Path, fitted: FittedClassifier) -> None:
    """Draw ``log.png`` and ``reliability.png``: the validation cases before calibration and after.

    Their reliability after calibration is optimistic: the calibration was chosen on them.
    """
    plot_log(output / "log.png", read_log(output / "log.csv"))
    opinion = fitted.validation
    groups = {
        name: reliability(opinion.expanded, values, groups=min(8, len(values)))
        for name, values in (
            ("before calibration", opinion.before),
            ("after", opinion.after),
        )
    }
    title = f"validation, {len(opinion.expanded)} hematomas"
    draw_reliability(output / "reliability.png", groups, title=title)
