"""Loss and pseudo Dice over the epochs, as table and picture (npj paper, Fig. 3A-B)."""

import csv
import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Epoch:
    """One epoch of a training.

    Attributes
    ----------
    number : int
        Counted from 1.
    training_loss, validation_loss : float
        Means over the epoch's batches.
    pseudo_dice : float
        Dice over the voxels of all validation patches together; NaN without hematoma in them.
    average_pseudo_dice : float
        Its exponential moving average, a tenth new.
    learning_rate, seconds : float
        Of the epoch.
    """

    number: int
    training_loss: float
    validation_loss: float
    pseudo_dice: float
    average_pseudo_dice: float
    learning_rate: float
    seconds: float


def write_curves(path: Path, epochs: Sequence[Epoch]) -> None:
    """Write the epochs as CSV, one line each."""
    names = [item.name for item in dataclasses.fields(Epoch)]
    partial = path.with_name(path.name + ".part")
    with partial.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(names)
        for epoch in epochs:
            values = [getattr(epoch, name) for name in names]
            writer.writerow(
                [value if isinstance(value, int) else f"{value:.6g}" for value in values]
            )
    partial.replace(path)


def read_curves(path: Path) -> list[Epoch]:
    """Return the epochs in a file of `write_curves`."""
    with path.open(newline="") as stream:
        return [
            Epoch(
                number=int(row.pop("number")), **{name: float(text) for name, text in row.items()}
            )
            for row in csv.DictReader(stream)
        ]


def draw_curves(path: Path, epochs: Sequence[Epoch], *, title: str = "") -> None:
    """Draw pseudo Dice (A) and the losses (B) over the epochs."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    # A figure of its own, so that nothing of matplotlib's global state is touched.
    figure = Figure(figsize=(10, 4), dpi=100, layout="constrained")
    left, right = figure.subplots(1, 2)
    numbers = [epoch.number for epoch in epochs]
    marker = "." if len(epochs) == 1 else None
    left.plot(numbers, [epoch.pseudo_dice for epoch in epochs], "--", marker=marker, label="each")
    left.plot(
        numbers,
        [epoch.average_pseudo_dice for epoch in epochs],
        marker=marker,
        label="moving average",
    )
    left.set(title="A", xlabel="epoch", ylabel="pseudo Dice", ylim=(0, 1))
    right.plot(numbers, [epoch.training_loss for epoch in epochs], marker=marker, label="training")
    right.plot(
        numbers, [epoch.validation_loss for epoch in epochs], marker=marker, label="validation"
    )
    right.set(title="B", xlabel="epoch", ylabel="loss (cross-entropy minus Dice)")
    for axes in (left, right):
        axes.legend(loc="upper right")
    if title:
        figure.suptitle(title)
    FigureCanvasAgg(figure).print_png(path)  # type: ignore[no-untyped-call] # untyped there
