"""Dice and IoU of every contestant, scan by scan: figure 3C of the npj study."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from training.segmentation.benchmark.contest import Finished
from training.segmentation.benchmark.scan_row import ScanRow
from training.segmentation.benchmark.summary import PAIRED_MEASURES, bleeding

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Width of a contestant's column and height of a panel in inches.
_COLUMN, _HEIGHT = 0.85, 4.2

#: Fewer different values have no density that a violin could show.
_FEWEST = 3


def draw_overlap(path: Path, finished: Sequence[Finished], *, kind: str) -> None:
    """Draw violins, boxes and the scans themselves of Dice and IoU.

    Parameters
    ----------
    path : Path
        The picture.
    finished : sequence of Finished
        Contestants; scans without hematoma are left out.
    kind : str
        Whether the heads are simulated, for the title.
    """
    width = max(5.0, 2 * _COLUMN * len(finished) + 1.5)
    figure = Figure(figsize=(width, _HEIGHT), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    for axes, (name, title) in zip(panels, (("dice", "Dice"), ("iou", "IoU")), strict=True):
        columns = [
            np.array([PAIRED_MEASURES[name](row) for row in bleeding(one.rows)])
            for one in finished
        ]
        _columns(axes, columns, [one.contestant.title for one in finished])
        axes.set_title(title)
        axes.set_ylim(-0.02, 1.02)
        axes.grid(axis="y", color="0.9", zorder=0)
    figure.suptitle(f"{_count(finished)}, {kind}", fontsize=10)
    figure.savefig(path, dpi=140)


def _columns(axes: "Axes", columns: Sequence[np.ndarray], titles: Sequence[str]) -> None:
    rng = np.random.default_rng(0)
    places = np.arange(1, len(columns) + 1)
    for place, values in zip(places, columns, strict=True):
        colour = f"C{place - 1}"
        if len(np.unique(values)) >= _FEWEST:
            violin = axes.violinplot([values], positions=[place], widths=0.85, showextrema=False)
            for body in violin["bodies"]:  # type: ignore[attr-defined]  # typed as one artist
                body.set_facecolor(colour)
                body.set_alpha(0.3)
        jitter = rng.uniform(-0.12, 0.12, size=len(values))
        axes.plot(place + jitter, values, ".", color=colour, markersize=3, alpha=0.7, zorder=2)
    axes.boxplot(
        list(columns),
        positions=places,
        widths=0.25,
        showfliers=False,
        medianprops={"color": "black", "linewidth": 1.5},
        zorder=3,
    )
    for place, values in zip(places, columns, strict=True):
        axes.plot(place, values.mean(), "D", color="white", markeredgecolor="black", zorder=4)
    axes.set_xticks(places, titles, rotation=35, ha="right")


def _count(finished: Sequence[Finished]) -> str:
    rows: list[ScanRow] = bleeding(finished[0].rows)
    patients = len({row.score.patient_id for row in rows})
    return f"{len(rows)} scans with hematoma of {patients} patients; diamonds: means"
