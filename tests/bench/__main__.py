"""Times the node beside its peers: python -m tests.bench [PART...], without one the usual ones.

Peers run in the same repetition as the node, with TCP_NODELAY set, and the figures quoted are
medians of ratios within a repetition: on a shared machine nothing else can be compared.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Collection
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from rich.console import Console
from rich.table import Table

from tests.bench.associations import bench_associations
from tests.bench.blast_ct import bench_blast_ct
from tests.bench.early import bench_early
from tests.bench.history import compare, remember
from tests.bench.journey import bench_journey, bench_line, journey
from tests.bench.receive import bench_receive
from tests.bench.scan import bench_scan
from tests.bench.send import bench_send
from tests.bench.steps import bench_steps

CONSOLE = Console()
ROOT = Path(__file__).parents[2]


#: What is timed if no part is named: under ten minutes on two idle cores.
USUAL = ("start", "receive", "send", "steps", "line", "journey")


def main() -> None:
    parts: dict[str, Callable[[argparse.Namespace], dict[str, object]]] = {
        "start": bench_start,
        "receive": bench_receive,
        "send": bench_send,
        "associations": bench_associations,
        "steps": bench_steps,
        "line": bench_line,
        "journey": bench_journey,
        "early": bench_early,
        "analyze": bench_analyze,
        "inference": bench_inference,
        "scan": bench_scan,
        "blast-ct": bench_blast_ct,
    }
    parser = _parser(parts)
    wanted = parser.parse_args()
    if wanted.parts == ["compare"]:
        sys.exit(compare(wanted))
    if unknown := sorted(set(wanted.parts) - set(parts)):
        parser.error(f"no such part: {', '.join(unknown)}; there are {', '.join(parts)}, compare")
    if wanted.all:
        wanted.lengths, wanted.journeys = [30, 300], [journey(one) for one in ALL_JOURNEYS]
    settings = {key: str(getattr(wanted, key)) for key in SETTINGS}
    begun = os.getloadavg()
    CONSOLE.print(f"{os.cpu_count()} cores, load {begun[0]:.1f}, {settings}")
    names = wanted.parts or (parts if wanted.all else USUAL)
    results = {name: parts[name](wanted) for name in names}
    load = (begun[0], *os.getloadavg())
    wanted.output.mkdir(parents=True, exist_ok=True)
    target = wanted.output / "bench.json"
    target.write_text(
        json.dumps({"load_at_start": begun[0], "settings": settings, **results}, indent=1)
    )
    history = wanted.output / "history.jsonl"
    remember(history, results, settings, load)
    CONSOLE.print(f"results: {target}; added to {history}, see `python -m tests.bench compare`")


#: Journeys of a long run: SLICESxSERIESxSENDERS.
ALL_JOURNEYS = ("30x1x1", "300x1x1", "30x10x4", "300x10x4", "30x100x8")

#: Two runs with the same of these may be compared.
SETTINGS = ("repetitions", "images", "models", "quiet", "lengths", "journeys")


def _parser(parts: Collection[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], prog="make bench")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--images", type=int, default=100, help="per repetition and receiver")
    parser.add_argument("--models", default="compact-segmentation", help="segmentation bundle")
    parser.add_argument("--quiet", type=float, default=5.0, help="assembly.quiet_time_s")
    parser.add_argument(
        "--lengths", type=int, nargs="+", default=[30], choices=(30, 300), help="slices for steps"
    )
    parser.add_argument(
        "--journeys",
        type=journey,
        nargs="+",
        default=[journey("30x1x1")],
        help="SLICESxSERIESxSENDERS, 30 or 300 slices",
    )
    parser.add_argument(
        "--series", type=Path, nargs="+", default=[], help="folders of DICOM for early"
    )
    parser.add_argument("--all", action="store_true", help="every part, length and journey: hours")
    parser.add_argument("--output", type=Path, default=ROOT / "bench-output")
    parser.add_argument("--cache", type=Path, default=ROOT / "bench-output" / "heads")
    parser.add_argument(
        "parts",
        nargs="*",
        help=f"of {', '.join(parts)}, or compare; without one: {', '.join(USUAL)}",
    )
    return parser


def bench_start(wanted: argparse.Namespace) -> dict[str, object]:
    """Time the two --help commands, python's own start beside them."""
    commands = {
        "python -c pass": [sys.executable, "-c", "pass"],
        "ichnode --help": [sys.executable, "-m", "dicom_node", "--help"],
        "ichtrain --help": [sys.executable, "-m", "training", "--help"],
    }
    times: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(wanted.repetitions):
        for name, command in commands.items():
            times[name].append(_seconds_of(command))
    return _show("start-up", times, reference="python -c pass", unit="s")


def bench_analyze(wanted: argparse.Namespace) -> dict[str, object]:
    """Time the steps of `ichnode analyze` on a simulated patient."""
    times: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        series = Path(scratch) / "series"
        make = [sys.executable, "-m", "training", "phantom", "--patients", "1", "--seed", "77"]
        subprocess.run(
            [*make, "--no-follow-up", "--format", "dicom", "--output", str(series)],
            check=True,
            capture_output=True,
        )
        for repetition in range(wanted.repetitions):
            output = Path(scratch) / f"out-{repetition}"
            command = [sys.executable, "-m", "dicom_node", "analyze", str(series)]
            times.setdefault("whole command", []).append(
                _seconds_of([*command, "--output", str(output)])
            )
            record = json.loads((output / "analysis.json").read_text())
            for step, seconds in record["seconds_per_step"].items():
                times.setdefault(step, []).append(seconds)
    return _show("analyze, 5 mm head", times, reference="whole command", unit="s")


def bench_inference(wanted: argparse.Namespace) -> dict[str, object]:
    """Time nnU-Net's predictor and ours on the same weights."""
    from tests.bench.inference import bench_inference as run

    return run(CONSOLE, repetitions=wanted.repetitions)


def _seconds_of(command: list[str], environment: dict[str, str] | None = None) -> float:
    start = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, cwd=ROOT, env=environment)
    return time.perf_counter() - start


def _show(
    title: str, times: dict[str, list[float]], reference: str, *, unit: str
) -> dict[str, object]:
    table = Table(title=title)
    for column in ("what", f"median {unit}", "min", "max", f"x {reference}"):
        table.add_column(column, justify="left" if column == "what" else "right")
    ratios = {}
    for name, values in times.items():
        pairs = zip(values, times[reference], strict=True)
        ratios[name] = statistics.median(value / other for value, other in pairs)
        table.add_row(
            name,
            f"{statistics.median(values):.3f}",
            f"{min(values):.3f}",
            f"{max(values):.3f}",
            f"{ratios[name]:.2f}",
        )
    CONSOLE.print(table)
    return {"unit": unit, "times": times, "reference": reference, "median_ratios": ratios}


if __name__ == "__main__":
    main()
