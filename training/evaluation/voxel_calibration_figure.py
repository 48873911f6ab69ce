"""A picture of how far voxel probabilities and their doubt can be believed."""

from pathlib import Path
from typing import Any

import numpy as np

from training.evaluation.voxel_calibration import ErrorVersusUncertainty, VoxelCalibration


def draw_voxel_calibration(
    path: Path,
    calibration: VoxelCalibration,
    curve: ErrorVersusUncertainty | None = None,
    *,
    title: str = "",
) -> None:
    """Draw the reliability diagram and, if given, the error against the uncertainty."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    # A figure of its own, so that nothing of matplotlib's global state is touched.
    figure = Figure(figsize=(5 if curve is None else 10, 4.2), dpi=100, layout="constrained")
    panels = figure.subplots(1, 1 if curve is None else 2, squeeze=False)[0]
    _draw_reliability(panels[0], calibration)
    if curve is not None:
        _draw_error(panels[1], curve)
    if title:
        figure.suptitle(title)
    FigureCanvasAgg(figure).print_png(path)  # type: ignore[no-untyped-call] # untyped there


def _draw_reliability(axes: Any, calibration: VoxelCalibration) -> None:  # noqa: ANN401  untyped there
    filled = [one for one in calibration.bins if one.voxels]
    axes.plot([0, 1], [0, 1], color="grey", linewidth=0.8)
    axes.plot(
        [one.mean_probability for one in filled],
        [one.hematoma_share for one in filled],
        marker="o",
    )
    axes.set(
        xlabel="probability of hematoma",
        ylabel="share that is hematoma",
        xlim=(0, 1),
        ylim=(0, 1),
        title=f"ECE {calibration.ece:.4f}, Brier {calibration.brier:.4f}, "
        f"NLL {calibration.nll:.4f}\n{calibration.scans} scans, "
        f"{calibration.empty_scans} with nothing found",
    )


def _draw_error(axes: Any, curve: ErrorVersusUncertainty) -> None:  # noqa: ANN401  untyped there
    ranks = np.arange(1, len(curve.parts) + 1)
    axes.bar(ranks, [100 * part.error_rate for part in curve.parts])
    axes.axhline(100 * curve.error_rate, color="grey", linewidth=0.8, label="all voxels")
    axes.set(
        xlabel=f"part of {len(curve.parts)}, by rising uncertainty",
        ylabel="voxels called wrongly, %",
        title=f"area under the sparsification error {curve.sparsification_error:.5f}",
    )
    axes.set_xticks(ranks)
    axes.legend()
