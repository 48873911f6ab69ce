"""A picture of how loss and validation went."""

import csv
from pathlib import Path

import numpy as np


def draw_progress(log: Path, picture: Path, *, smoothing: int = 50) -> None:
    """Draw the running mean of the loss and the validation Dice of a log over the steps."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    with log.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    steps = np.array([int(row["step"]) for row in rows])
    losses = np.array([float(row["loss"]) for row in rows])
    kernel = np.ones(min(smoothing, len(losses))) / min(smoothing, len(losses))
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4))
    left.plot(steps[len(kernel) - 1 :], np.convolve(losses, kernel, mode="valid"))
    left.set(xlabel="step", ylabel=f"loss, mean of {len(kernel)}")
    scores: dict[str, list[tuple[int, float]]] = {}
    for row in rows:
        for pair in filter(None, row["scores"].split(";")):
            name, value = pair.split("=")
            scores.setdefault(name, []).append((int(row["step"]), float(value)))
    for name, points in scores.items():
        right.plot(*zip(*points, strict=True), marker=".", label=name)
    right.set(xlabel="step", ylabel="validation Dice", ylim=(0, 1))
    if scores:
        right.legend(loc="lower right")
    figure.tight_layout()
    figure.savefig(picture, dpi=100)
    plt.close(figure)
