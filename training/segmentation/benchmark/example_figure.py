"""Slices of the best, the median and the worst case: figure 4 of the npj study."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from training.cohort.case import Case
from training.cohort.folder import ScanFile
from training.segmentation.benchmark.contest import Finished
from training.segmentation.benchmark.examination import MASKS_FOLDER, load_mask
from training.segmentation.benchmark.summary import PAIRED_MEASURES, bleeding

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Window in which blood is looked at: from and to, HU.
_WINDOW_HU = (0.0, 100.0)

#: Air around the truth that is shown, in mm.
_MARGIN_MM = 30.0

_TRUTH, _FOUND = "#3ddc3d", "#ff4040"
#: Inches: side of a panel, and a width that the title fits into.
_SIDE, _NARROWEST = 1.75, 5.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A scan that is worth looking at, and why."""

    case_id: str
    label: str


def choose_examples(finished: Sequence[Finished]) -> list[Example]:
    """Return the scans with the best, the median and the worst mean Dice over contestants.

    Only scans with hematoma; fewer than three are all shown.
    """
    totals: dict[str, float] = {}
    for one in finished:
        for row in bleeding(one.rows):
            dice = PAIRED_MEASURES["dice"](row) / len(finished)
            totals[row.score.case_id] = totals.get(row.score.case_id, 0.0) + dice
    order = sorted(totals, key=lambda case_id: (-totals[case_id], case_id))
    if not order:
        return []
    places = {"best": 0, "median": len(order) // 2, "worst": len(order) - 1}
    chosen = {order[place]: label for label, place in places.items()}
    return [Example(case_id=case_id, label=label) for case_id, label in chosen.items()]


def draw_examples(
    path: Path,
    finished: Sequence[Finished],
    scans: Mapping[str, ScanFile],
    output: Path,
    *,
    kind: str,
) -> None:
    """Draw a row per example and a column per contestant, truth green, prediction red.

    Nothing is drawn where no scan has a hematoma.

    Parameters
    ----------
    path : Path
        The picture.
    finished : sequence of Finished
        Contestants.
    scans : mapping of str to ScanFile
        The held-out scans by identifier.
    output : Path
        Folder of the benchmark, for the masks.
    kind : str
        Whether the heads are simulated, for the title.
    """
    examples = choose_examples(finished)
    if not examples:
        return
    columns = len(finished) + 1
    figure = Figure(
        figsize=(max(columns * _SIDE, _NARROWEST), len(examples) * (_SIDE + 0.3) + 0.7),
        layout="constrained",
    )
    grid = figure.subplots(len(examples), columns, squeeze=False)
    for panels, example in zip(grid, examples, strict=True):
        case = scans[example.case_id].read()
        masks = [
            load_mask(output / one.contestant.name / MASKS_FOLDER, example.case_id)
            for one in finished
        ]
        _draw_row(panels, case, masks)
        panels[0].set_ylabel(f"{example.label}\n{case.hematoma_ml:.1f} mL", fontsize=9)
        for axes, one in zip(panels[1:], finished, strict=True):
            row = next(row for row in one.rows if row.score.case_id == example.case_id)
            axes.set_xlabel(f"Dice {row.score.dice or 0.0:.3f}", fontsize=8)
    for axes, title in zip(grid[0], ["CT", *(o.contestant.title for o in finished)], strict=True):
        axes.set_title(title, fontsize=9)
    handles = [
        Line2D([], [], color=_TRUTH, label="truth"),
        Line2D([], [], color=_FOUND, label="segmentation"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=2, frameon=False)
    figure.suptitle(f"Best, median and worst case by mean Dice; {kind}", fontsize=10)
    figure.savefig(path, dpi=160)


def _draw_row(panels: Sequence["Axes"], case: Case, masks: Sequence[NDArray[np.bool_]]) -> None:
    """Draw the slice with the largest cross-section, without and with each contour."""
    truth = case.label_zyx == 1
    z = int(np.argmax(truth.sum(axis=(1, 2))))
    rows, columns = _view(truth[z], case.spacing_zyx_mm[1:])
    image = case.hu_zyx[z, rows, columns]
    aspect = case.spacing_zyx_mm[1] / case.spacing_zyx_mm[2]
    for axes in panels:
        low, high = _WINDOW_HU
        axes.imshow(image, cmap="gray", vmin=low, vmax=high, aspect=aspect)
        axes.set_xticks([])
        axes.set_yticks([])
    for axes, mask in zip(panels[1:], masks, strict=True):
        _contour(axes, truth[z, rows, columns], _TRUTH, 1.4)
        _contour(axes, mask[z, rows, columns], _FOUND, 0.8)


def _contour(axes: "Axes", mask: NDArray[np.bool_], colour: str, width: float) -> None:
    if mask.any() and not mask.all():
        axes.contour(mask, levels=[0.5], colors=[colour], linewidths=width)


def _view(mask: NDArray[np.bool_], spacing_yx_mm: tuple[float, ...]) -> tuple[slice, slice]:
    """Return a square around a cross-section, in mm, as far as the image goes."""
    edges = [np.flatnonzero(mask.any(axis=1 - axis))[[0, -1]] for axis in (0, 1)]
    sides = [
        (high - low + 1) * step for (low, high), step in zip(edges, spacing_yx_mm, strict=True)
    ]
    half_mm = max(sides) / 2 + _MARGIN_MM
    view = []
    for (low, high), step, size in zip(edges, spacing_yx_mm, mask.shape, strict=True):
        centre, half = (low + high) / 2, half_mm / step
        view.append(slice(max(0, int(centre - half)), min(size, int(centre + half) + 1)))
    return view[0], view[1]
