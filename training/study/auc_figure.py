"""AUCs of all classifiers in all sets, beside the published and the best possible ones."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure

from training.study.classification_tables import ratio_of
from training.study.published import read_published


@dataclass(frozen=True, slots=True, kw_only=True)
class AucRow:
    """One set of patients.

    Attributes
    ----------
    key, title : str
        As in the measures' keys, and for the figure.
    aucs : mapping of str to mapping of str to float
        Value, low_95 and high_95 by classifier.
    best_possible : float or None
        AUC of the ideal reader of these patients, where it is known.
    """

    key: str
    title: str
    aucs: Mapping[str, Mapping[str, float]]
    best_possible: float | None


def draw_aucs(path: Path, rows: Sequence[AucRow]) -> None:
    """Draw a line for each classifier in each set, the first set on top."""
    published = read_published().values
    models = list(dict.fromkeys(model for row in rows for model in row.aucs))
    height = 0.9 + len(rows) * (0.32 * len(models) + 0.2)
    figure = Figure(figsize=(7.6, height), layout="constrained")
    axes = figure.subplots()
    axes.axvline(0.5, color="0.7", linewidth=0.8)
    places: list[float] = []
    for number, row in enumerate(rows):
        top = -number * (len(models) + 0.8)
        places.append(top - (len(models) - 1) / 2)
        for line, model in enumerate(models):
            if model not in row.aucs:
                continue
            one, y, colour = row.aucs[model], top - line, f"C{models.index(model)}"
            label = model if number == 0 else None
            axes.plot([one["low_95"], one["high_95"]], [y, y], color=colour, linewidth=1.6)
            axes.plot(one["value"], y, "o", color=colour, markersize=6, label=label)
            theirs = published.get(f"classification.{row.key}.{ratio_of(model)}.auc")
            if theirs is not None and theirs.value is not None:
                axes.plot(theirs.value, y, "D", markerfacecolor="none", color=colour, markersize=6)
        if row.best_possible is not None:
            spread = [top + 0.4, top - len(models) + 0.6]
            axes.plot([row.best_possible] * 2, spread, ":", color="black", linewidth=1)
            axes.plot(row.best_possible, sum(spread) / 2, "*", color="black", markersize=10)
    axes.set_yticks(places, [row.title for row in rows])
    axes.set(xlim=(0, 1.02), xlabel="AUC")
    axes.grid(axis="x", color="0.92")
    axes.legend(loc="lower left", fontsize=8)
    figure.savefig(path, dpi=130)
