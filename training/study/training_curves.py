"""Training curves of several architectures in one figure: npj Fig. 3A-B."""

import csv
from collections.abc import Mapping
from pathlib import Path

from matplotlib.figure import Figure

from training.segmentation.curves import read_curves

#: Curves of nnU-Net's loop.
_CURVES = "curves.csv"


def draw_training_curves(path: Path, runs: Mapping[str, Path]) -> None:
    """Draw pseudo-Dice and losses over the epochs.

    Parameters
    ----------
    path : Path
        The picture.
    runs : mapping of str to Path
        Folders of trainings by the name of the architecture. Loops without curves by epoch, as
        that of SLEX-Net, have none; nothing is drawn where no run has any.
    """
    known = {
        name: read_curves(folder / _CURVES)
        for name, folder in runs.items()
        if (folder / _CURVES).is_file()
    }
    if not known:
        return
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    for number, (name, epochs) in enumerate(known.items()):
        places, colour = [one.number for one in epochs], f"C{number}"
        left.plot(places, [one.pseudo_dice for one in epochs], "--", color=colour, alpha=0.6)
        left.plot(
            places, [one.average_pseudo_dice for one in epochs], ".-", color=colour, label=name
        )
        right.plot(places, [one.training_loss for one in epochs], ".-", color=colour, label=name)
        right.plot(places, [one.validation_loss for one in epochs], "--", color=colour)
    left.set(title="A: pseudo-Dice, dashed; average, solid", xlabel="epoch", ylim=(0, 1))
    right.set(title="B: loss, training solid, validation dashed", xlabel="epoch")
    for axes in (left, right):
        axes.grid(color="0.92")
        axes.legend(fontsize=8, loc="lower right")
    figure.savefig(path, dpi=130)


def draw_loss(path: Path, log: Path, *, title: str) -> None:
    """Draw the loss column of a log over its epochs: npj Fig. 5A."""
    with log.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    figure = Figure(figsize=(5.2, 3.4), layout="constrained")
    axes = figure.subplots()
    axes.plot([int(row["epoch"]) for row in rows], [float(row["loss"]) for row in rows])
    axes.set(xlabel="epoch", ylabel="mean loss", title=title)
    axes.set_yscale("log")
    axes.grid(color="0.92", which="both")
    figure.savefig(path, dpi=130)
