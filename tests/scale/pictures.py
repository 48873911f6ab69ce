"""The pictures of the scale report."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any


def draw(facts: Mapping[str, Any], folder: Path) -> None:
    """Draw throughput and waits."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    runs = facts["throughput"]["found"]
    workers = [one["workers"] for one in runs]
    figure, axes = plt.subplots(1, 3, figsize=(12, 3.6), layout="constrained")
    ideal = [one["workers"] * 60 / one["sleep_s"] for one in runs]
    axes[0].plot(workers, ideal, "--", color="0.6", label="without any engine")
    axes[0].plot(workers, [one["jobs_per_minute"] for one in runs], "o-", label="SQLite")
    other = facts.get("postgresql", {}).get("found", ())
    axes[0].plot(
        [one["workers"] for one in other],
        [one["jobs_per_minute"] for one in other],
        "^:",
        label="PostgreSQL",
    )
    axes[0].set(xlabel="workers", ylabel="jobs a minute", title="Throughput", ylim=(0, None))
    axes[0].legend()
    axes[1].plot(workers, [one["overhead_ms_per_job"] for one in runs], "o-", label="wall")
    axes[1].plot(workers, [one["cpu_ms_per_job"] for one in runs], "s-", label="processor")
    axes[1].set(xlabel="workers", ylabel="ms a job", title="The engine's own", ylim=(0, None))
    axes[1].legend()
    urgent = facts["urgency"]["found"]
    for one in urgent:
        waits = one["urgent_waits_s"]
        axes[2].plot([str(one["workers"])] * len(waits), waits, "o", alpha=0.5, color="C0")
    axes[2].axhline(urgent[0]["sleep_s"], ls="--", color="0.6", label="length of a job")
    axes[2].set(xlabel="workers", ylabel="s", title="Urgent job into a full queue", ylim=(0, None))
    axes[2].legend()
    figure.savefig(folder / "engine.png", dpi=110)
    plt.close(figure)
