"""Pictures of a fit and of an evaluation."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from training.classification.evaluation import Evaluation, Scores
from training.classification.fitting import EpochRecord
from training.evaluation.roc import roc_curve


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


def plot_roc(path: Path, evaluation: Evaluation, scores: Scores) -> None:
    """Draw the ROC curve with the point at the threshold."""
    curve = roc_curve(evaluation.expanded, evaluation.probabilities)
    figure = Figure(figsize=(5, 5), layout="constrained")
    axes = figure.subplots()
    axes.plot(
        curve.false_alarm_rate,
        curve.sensitivity,
        drawstyle="steps-post",
        label=f"AUC {scores.auc}",
    )
    axes.plot([0, 1], [0, 1], color="grey", linewidth=0.8)
    axes.plot(
        1 - scores.specificity.value,
        scores.sensitivity.value,
        "o",
        label=f"threshold {evaluation.threshold:.3f}",
    )
    axes.set_xlabel("1 - specificity")
    axes.set_ylabel("sensitivity")
    axes.set_title(
        f"{scores.cases} hematomas of {scores.patients} patients, {scores.expanded} expanded"
    )
    axes.legend(loc="lower right")
    figure.savefig(path, dpi=120)
