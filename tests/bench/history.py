"""What earlier runs measured: a line of JSON each, so that a regression is seen.

``python -m tests.bench compare`` sets the last run beside those before it on the same kind of
machine with the same settings. A figure has got worse when its median lies beyond what the earlier
runs' own spread explains. Times of a busy machine are slow by themselves: the load of each run is
shown, and a ratio to a peer or a twin in the same run (``ratio`` in its name) says more than a
time.
"""

import argparse
import json
import os
import platform
import re
import statistics
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

CONSOLE = Console()
ROOT = Path(__file__).parents[2]

#: Runs before the last one that it is set beside.
_EARLIER = 8

#: A change below this share is never told, nor one below so many median deviations.
_LEAST_CHANGE, _DEVIATIONS = 0.15, 4.0

#: Of these less is worse; of all others more is.
_RATE = re.compile(r"(images|C-ECHO|objects|series)/(s|min)\b")


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A figure of the last run beside the runs before.

    Attributes
    ----------
    figure : str
        Its path in the results.
    before, now : float
        Medians.
    noise : float
        Share by which the medians of earlier runs lie apart by themselves.
    """

    figure: str
    before: float
    now: float
    noise: float

    @property
    def worse(self) -> float:
        """By which share it has got worse; negative if it is better."""
        change = self.now / self.before - 1
        return -change if is_rate(self.figure) else change

    @property
    def is_regression(self) -> bool:
        """Whether chance does not explain it."""
        return self.worse > max(_LEAST_CHANGE, self.noise)


def is_rate(figure: str) -> bool:
    """Return whether more is better."""
    return _RATE.search(figure) is not None


def machine() -> dict[str, object]:
    """Return what times depend on."""
    model = ""
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = info.read_text().splitlines()
        model = next((line.partition(": ")[2] for line in lines if "model name" in line), "")
    return {"processor": model, "cores": os.cpu_count(), "python": platform.python_version()}


def commit() -> str:
    """Return the commit that is measured, with a plus if the tree differs from it."""
    ask = ["git", "-C", str(ROOT)]
    found = subprocess.run(
        [*ask, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    )
    changed = subprocess.run(
        [*ask, "status", "--porcelain", "--untracked-files=no"],
        capture_output=True,
        text=True,
        check=False,
    )
    return found.stdout.strip() + ("+" if changed.stdout.strip() else "")


def remember(
    path: Path,
    results: Mapping[str, object],
    settings: Mapping[str, object],
    load: Sequence[float],
) -> None:
    """Append a run: when, of which commit, on which machine, under which load."""
    run = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "machine": machine(),
        "load": [round(one, 1) for one in load],
        "settings": dict(settings),
        "figures": dict(figures_of(results)),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.write(json.dumps(run) + "\n")


def figures_of(results: object, path: str = "") -> Iterator[tuple[str, list[float]]]:
    """Yield every list of numbers in the results of a run, and every ratio as a list of one."""
    if isinstance(results, Mapping):
        for name, value in results.items():
            yield from figures_of(value, f"{path}|{name}" if path else str(name))
    elif isinstance(results, list) and results and all(_is_number(one) for one in results):
        yield path, [float(one) for one in results]
    elif _is_number(results) and "ratio" in path:
        yield path, [float(str(results))]


def read(path: Path) -> list[dict[str, Any]]:
    """Return the runs of a history, oldest first; none if there is no file."""
    if not path.is_file():
        return []
    return [json.loads(line) for line in path.read_text().splitlines() if line.strip()]


def changes(runs: Sequence[Mapping[str, Any]]) -> list[Change]:
    """Return what became of each figure of the last run that an earlier run has, too.

    Only runs on the same kind of machine with the same settings count.
    """
    last = runs[-1]
    alike = [
        run
        for run in runs[:-1]
        if (run["machine"], run["settings"]) == (last["machine"], last["settings"])
    ][-_EARLIER:]
    found = []
    for figure, values in last["figures"].items():
        earlier = [run["figures"][figure] for run in alike if figure in run["figures"]]
        medians = [statistics.median(one) for one in earlier]
        if not medians or statistics.median(medians) <= 0:
            continue
        before = statistics.median(medians)
        spread = [value for one in earlier for value in one]
        deviation = statistics.median(abs(value - before) for value in spread)
        found.append(
            Change(
                figure=figure,
                before=before,
                now=statistics.median(values),
                noise=_DEVIATIONS * deviation / before,
            )
        )
    return found


def compare(wanted: argparse.Namespace) -> int:
    """Print what has changed and draw the figures over time; return 1 if something got worse."""
    path = wanted.output / "history.jsonl"
    runs = read(path)
    if len(runs) < 2:
        CONSOLE.print(f"{path} has {len(runs)} run(s): nothing to compare")
        return 0
    last = runs[-1]
    CONSOLE.print(f"last run: {last['at']}, {last['commit']}, load {last['load']}")
    found = sorted(changes(runs), key=lambda change: -change.worse)
    if not found:
        CONSOLE.print("No earlier run on such a machine with these settings")
        return 0
    table = Table(title="figures beside earlier runs")
    for column in ("what", "before", "now", "worse by", "noise", ""):
        table.add_column(column, justify="left" if column in {"what", ""} else "right")
    for change in found:
        table.add_row(
            change.figure.replace("|", " / "),
            f"{change.before:.3g}",
            f"{change.now:.3g}",
            f"{change.worse:+.0%}",
            f"{change.noise:.0%}",
            "REGRESSION" if change.is_regression else "",
        )
    CONSOLE.print(table)
    target = wanted.output / "history.png"
    draw(runs, [change.figure for change in found], target)
    CONSOLE.print(f"over time: {target}")
    return int(any(change.is_regression for change in found))


def draw(runs: Sequence[Mapping[str, Any]], figures: Sequence[str], target: Path) -> None:
    """Draw each figure over the runs that have it, the load of the machine behind it."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    columns = 4
    rows = -(-len(figures) // columns)
    drawing, axes = plt.subplots(
        rows, columns, figsize=(15, 2.2 * rows), layout="constrained", squeeze=False
    )
    for place, figure in zip(axes.flat, figures, strict=False):
        points = [
            (number, run["figures"][figure])
            for number, run in enumerate(runs)
            if figure in run["figures"]
        ]
        for number, values in points:
            place.plot([number] * len(values), values, ".", color="#7aa6c2")
        place.plot(
            [number for number, _ in points],
            [statistics.median(values) for _, values in points],
            "k-",
            linewidth=1,
        )
        place.set_title(figure.replace("|", " / "), fontsize=6)
        place.set_ylim(bottom=0)
        place.set_xticks(
            range(len(runs)), [run["commit"] for run in runs], fontsize=5, rotation=60
        )
        place.tick_params(axis="y", labelsize=6)
    for place in list(axes.flat)[len(figures) :]:
        place.remove()
    drawing.savefig(target, dpi=110)
    plt.close(drawing)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
