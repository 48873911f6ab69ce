"""Figures 4 and 5 of Abramova et al. 2024: how scores are spread, and what forecasts look like."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.growth.evaluation import EVEN, Judged
from training.growth.pair import GrowthPair
from training.growth.table import words_of

#: The window in which hematomas are looked at: 40/80 HU.
_LOW_HU, _HIGH_HU = 0, 80

#: True positive, false positive, false negative voxels, as in the paper's Fig. 5.
_COLOURS = {"hit": (1.0, 0.0, 0.0), "false": (0.0, 0.8, 0.0), "missed": (0.2, 0.4, 1.0)}

#: Share of colour over grey.
_OPACITY = 0.55


def draw_spread(path: Path, judged: Sequence[Judged]) -> None:
    """Draw violins of the growth's Dice (A) and boxes of the volume error (B)."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.5), dpi=100, layout="constrained")
    left, right = figure.subplots(1, 2)
    names = [_wrapped(words_of(way.name)) for way in judged]
    places = list(range(1, len(judged) + 1))
    overlaps = [
        [one.growth_dice for one in way.scores if one.growth_dice is not None] or [float("nan")]
        for way in judged
    ]
    left.violinplot(overlaps, places, showmedians=True, showextrema=True)
    for place, values in zip(places, overlaps, strict=True):
        left.plot([place] * len(values), values, "k.", alpha=0.4, markersize=4)
    left.set(title="A", ylabel="Dice of the growth", ylim=(0, 1))
    right.boxplot([[one.error_ml for one in way.scores] for way in judged], positions=places)
    right.axhline(0, color="grey", linewidth=0.8)
    right.set(title="B", ylabel="forecast minus true volume, mL")
    for axes in (left, right):
        axes.set_xticks(places, names, fontsize=8)
    FigureCanvasAgg(figure).print_png(path)  # type: ignore[no-untyped-call]  # untyped there


def draw_examples(
    path: Path,
    pairs: Sequence[GrowthPair],
    forecasts: Mapping[str, Sequence[NDArray[np.bool_]]],
) -> None:
    """Draw baseline, follow-up and each arm's forecast over the follow-up, a patient a row.

    Parameters
    ----------
    path : Path
        The picture.
    pairs : sequence of GrowthPair
        One per row; the slice with the largest follow-up hematoma is shown.
    forecasts : mapping of str to sequence of ndarray
        By arm, one mask per pair.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = 2 + len(forecasts)
    figure = Figure(figsize=(2.4 * columns, 2.6 * len(pairs)), dpi=90, layout="constrained")
    grid: Any = figure.subplots(len(pairs), columns, squeeze=False)
    for row, pair in enumerate(pairs):
        z = int(np.argmax(pair.follow_up_zyx.sum(axis=(1, 2))))
        after = pair.follow_up_hu_zyx[z]
        pictures = [_grey(pair.baseline_hu_zyx[z]), _grey(after)]
        pictures += [
            overlay(_grey(after), masks[row][z], pair.follow_up_zyx[z])
            for masks in forecasts.values()
        ]
        aspect = pair.spacing_zyx_mm[1] / pair.spacing_zyx_mm[2]
        for axes, picture in zip(grid[row], pictures, strict=True):
            axes.imshow(picture, aspect=aspect)
            axes.set_axis_off()
        grid[row][0].contour(pair.baseline_zyx[z], [0.5], colors="yellow", linewidths=0.7)
        grid[row][1].contour(pair.follow_up_zyx[z], [0.5], colors="yellow", linewidths=0.7)
    titles = ["baseline", "follow-up", *(_wrapped(words_of(name)) for name in forecasts)]
    for axes, title in zip(grid[0], titles, strict=True):
        axes.set_title(title, fontsize=8)
    figure.suptitle("red: forecast and there; green: forecast only; blue: missed", fontsize=9)
    FigureCanvasAgg(figure).print_png(path)  # type: ignore[no-untyped-call]  # untyped there


def overlay(
    grey_yxc: NDArray[np.float64], forecast_yx: NDArray[np.bool_], truth_yx: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return a picture (Y, X, 3) with hits, false and missed pixels coloured."""
    picture = grey_yxc.copy()
    for name, mask in (
        ("hit", forecast_yx & truth_yx),
        ("false", forecast_yx & ~truth_yx),
        ("missed", ~forecast_yx & truth_yx),
    ):
        colour = np.array(_COLOURS[name])
        picture[mask] = (1 - _OPACITY) * picture[mask] + _OPACITY * colour
    return picture


def typical_patients(way: Judged, *, count: int) -> list[str]:
    """Return patients from the best to the worst overlap of the growth, evenly spread."""
    known = [one for one in way.scores if one.growth_dice is not None]
    ordered = sorted(known, key=lambda one: -(one.growth_dice or 0.0))
    places = np.linspace(0, len(ordered) - 1, min(count, len(ordered))).round().astype(int)
    return [ordered[place].patient_id for place in places]


def _grey(hu_yx: NDArray[np.int16]) -> NDArray[np.float64]:
    share = np.clip((hu_yx.astype(np.float64) - _LOW_HU) / (_HIGH_HU - _LOW_HU), 0, 1)
    return np.repeat(share[..., None], 3, axis=-1)


def _wrapped(words: str) -> str:
    if words == words_of(EVEN):
        return "Even\ngrowth"
    return words.replace(" + ", "\n+ ").replace(", ", ",\n")
