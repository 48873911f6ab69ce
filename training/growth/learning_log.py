"""What a training says of itself: one line an epoch, and its curves."""

import csv
import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

#: Table of the epochs.
LOG = "log.csv"


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochLine:
    """One epoch.

    Attributes
    ----------
    epoch, steps : int
        Epochs and optimiser steps so far.
    minutes : float
        Spent so far.
    training_loss, validation_loss : float
        Mean weighted sums.
    overlap, likeness, smoothness : float
        The three parts on the validation patches, not weighted.
    """

    epoch: int
    steps: int
    minutes: float
    training_loss: float
    validation_loss: float
    overlap: float
    likeness: float
    smoothness: float


def write_log(folder: Path, lines: Sequence[EpochLine]) -> None:
    """Write all epochs to ``log.csv``, whole or not at all."""
    partial = folder / f"{LOG}.part"
    with partial.open("w", newline="") as stream:
        names = [item.name for item in dataclasses.fields(EpochLine)]
        writer = csv.DictWriter(stream, names)
        writer.writeheader()
        for line in lines:
            row = dataclasses.asdict(line)
            writer.writerow(
                {
                    name: f"{value:.6g}" if isinstance(value, float) else value
                    for name, value in row.items()
                }
            )
    partial.replace(folder / LOG)


def draw_curves(path: Path, lines: Sequence[EpochLine], *, title: str) -> None:
    """Draw losses (A) and the parts of the validation loss (B) over the epochs."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), dpi=100, layout="constrained")
    left, right = figure.subplots(1, 2)
    epochs = [line.epoch for line in lines]
    marker = "." if len(lines) == 1 else None
    for name in ("training_loss", "validation_loss"):
        left.plot(
            epochs,
            [getattr(line, name) for line in lines],
            marker=marker,
            label=name.replace("_loss", ""),
        )
    for name in ("overlap", "likeness", "smoothness"):
        right.plot(epochs, [getattr(line, name) for line in lines], marker=marker, label=name)
    left.set(title="A", xlabel="epoch", ylabel="loss")
    right.set(title="B", xlabel="epoch", ylabel="part of the validation loss", yscale="log")
    for axes in (left, right):
        axes.legend()
    figure.suptitle(title)
    FigureCanvasAgg(figure).print_png(path)  # type: ignore[no-untyped-call]  # untyped there
