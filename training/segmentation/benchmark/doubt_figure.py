"""Calibration of a network's probability and uncertainty."""

from pathlib import Path

from matplotlib.figure import Figure

from training.segmentation.benchmark.doubt import Doubt


def draw_doubt(path: Path, doubt: Doubt, *, title: str, kind: str) -> None:
    """Draw the reliability diagram, and the error rate by deciles of the uncertainty."""
    figure = Figure(figsize=(9, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    full = [one for one in doubt.calibration.bins if one.voxels]
    left.plot([0, 1], [0, 1], color="0.6", linewidth=0.8)
    left.plot([one.mean_probability for one in full], [one.hematoma_share for one in full], "o-")
    found = doubt.calibration
    left.set(
        xlabel="probability of hematoma",
        ylabel="share that is hematoma",
        xlim=(0, 1),
        ylim=(0, 1),
        title=f"ECE {found.ece:.4f}, Brier {found.brier:.4f}, NLL {found.nll:.4f}",
    )
    parts = doubt.errors.parts
    right.bar(range(1, len(parts) + 1), [100 * one.error_rate for one in parts])
    right.axhline(100 * doubt.errors.error_rate, color="0.4", linestyle="--", label="all voxels")
    right.set(
        xlabel="decile of uncertainty, least to most",
        ylabel="wrong voxels, %",
        title=f"sparsification error {doubt.errors.sparsification_error:.2g}",
    )
    right.set_xticks(range(1, len(parts) + 1))
    right.legend(frameon=False, loc="upper right")
    scans = len(doubt.case_ids)
    figure.suptitle(f"{title}: voxels of {scans} scans, {kind}", fontsize=10)
    figure.savefig(path, dpi=140)
