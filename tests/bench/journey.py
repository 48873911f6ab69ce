"""Times the whole line: from the last C-STORE response to the last result that the archive took.

Each journey is so many series of so many slices by so many senders at the same time. Where the
time goes is read from the ledger. With networks each journey is made with and without early
analysis, interleaved; with stand-ins for them what remains is the node's own.
"""

import argparse
import statistics
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from dicom_node.association.storage_scu import outgoing_file, send_files
from tests.bench.heads import copy_of, template
from tests.bench.running_node import RunningNode, running_node

CONSOLE = Console()
_ENDS = ("delivered", "rejected", "failed", "set_aside")
_LIMIT_S = 900.0

#: What happens to a series after the quiet time, by the events between which it lies.
_PARTS = {
    "assembly beyond quiet time": ("quiet over", "chosen"),
    "until a worker has it": ("chosen", "claimed"),
    "analysis and encoding": ("claimed", "results"),
    "until first object accepted": ("results", "accepted"),
    "all objects accepted": ("accepted", "delivered"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Journey:
    """So many series of so many slices by so many senders."""

    slices: int
    series: int
    senders: int

    @property
    def name(self) -> str:
        """As in tables."""
        return f"{self.series} x {self.slices} slices, {self.senders} sender(s)"


def journey(text: str) -> Journey:
    """Read SLICESxSERIESxSENDERS."""
    slices, series, senders = (int(word) for word in text.split("x"))
    if slices not in (30, 300) or series < 1 or not 1 <= senders <= 8:
        raise argparse.ArgumentTypeError("30 or 300 slices, 1 to 8 senders")
    return Journey(slices=slices, series=series, senders=senders)


def bench_journey(wanted: argparse.Namespace) -> dict[str, object]:
    """Time journeys through nodes with and without early analysis."""
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    with tempfile.TemporaryDirectory() as scratch, ExitStack() as running:
        root = Path(scratch)
        nodes = {
            name: running.enter_context(
                running_node(
                    root / name,
                    segmentation=wanted.models,
                    early=early,
                    quiet_s=wanted.quiet,
                )
            )
            for name, early in (("early", True), ("not early", False))
        }
        for repetition in range(wanted.repetitions):
            for one in wanted.journeys:
                files = template(wanted.cache, one.slices)
                for name, node in nodes.items():
                    folder = root / f"images-{repetition}-{one.name}-{name}"
                    for figure, value in _made(node, one, files, folder, wanted.quiet):
                        found[f"{one.name}: {figure}"][name].append(value)
    return {
        "models": wanted.models,
        "quiet_s": wanted.quiet,
        "figures": found,
        "ratios": show(found, f"journeys, {wanted.models}", reference="not early"),
    }


def bench_line(wanted: argparse.Namespace) -> dict[str, object]:
    """Time start, memory, journeys with stand-in models, and pages while images come."""
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    name = "ichnode, stand-in models"
    files = template(wanted.cache, 30)
    for repetition in range(wanted.repetitions):
        with (
            tempfile.TemporaryDirectory() as scratch,
            running_node(Path(scratch) / "node", quiet_s=1.0) as node,
        ):
            found["start until ready, s"][name].append(node.start_s)
            for role, size in node.pss_mb().items():
                found[f"{role} at start, PSS MB"][name].append(size)
            line = Journey(slices=30, series=10, senders=4)
            folder = Path(scratch) / f"images-{repetition}"
            for figure, value in _made(node, line, files, folder, quiet_s=1.0):
                found[f"{line.name}: {figure}"][name].append(value)
            for role, size in node.pss_mb().items():
                found[f"{role} at end, PSS MB"][name].append(size)
            for title, loading in (("idle", False), ("under load", True)):
                with _load(node, files, Path(scratch) / title) if loading else nullcontext():
                    for page in ("/health", "/", "/studies"):
                        found[f"page {page} {title}, ms"][name].append(_page_ms(node, page))
    return {"figures": found, "ratios": show(found, "the line without networks", reference=name)}


def _made(
    node: RunningNode, one: Journey, files: Sequence[Path], folder: Path, quiet_s: float
) -> Iterator[tuple[str, float]]:
    """Make one journey; yield the medians over its series, the slowest, and the throughput."""
    copies = [copy_of(list(files), folder / str(number)) for number in range(one.series)]
    begun = time.time()
    with ThreadPoolExecutor(one.senders) as senders:
        answered = list(senders.map(lambda copy: _sent(node, copy[1]), copies))
    times = [_followed(node, uid) for uid, _ in copies]
    for found, last in zip(times, answered, strict=True):
        found["quiet over"] = last + quiet_s
    ends = [found["end"] for found in times]
    totals = [end - found["quiet over"] for end, found in zip(ends, times, strict=True)]
    yield "last response to last result beyond quiet time, s", statistics.median(totals)
    if one.series > 1:
        yield "the same, slowest series, s", max(totals)
        yield "series/min", 60 * one.series / (max(ends) - begun)
    for part, (first, last) in _PARTS.items():
        spans = [found[last] - found[first] for found in times if first in found and last in found]
        if spans:
            yield f"{part}, s", statistics.median(spans)


def _sent(node: RunningNode, files: Sequence[Path]) -> float:
    """Send a series over one association; return when its last response came."""
    moments: list[float] = []
    send_files(
        node.peer,
        [outgoing_file(path) for path in files],
        on_outcome=lambda _outcome: moments.append(time.time()),
    )
    return moments[-1]


def _followed(node: RunningNode, series_uid: str) -> dict[str, float]:
    """Return the events of a series once it has come to an end; `end` is when."""
    limit = time.monotonic() + _LIMIT_S
    while time.monotonic() < limit:
        found = node.events(series_uid)
        ends = [found[kind] for kind in _ENDS if kind in found]
        if ends:
            if "delivered" not in found:
                raise RuntimeError(f"A series was not delivered: {sorted(found)}")
            return found | {"end": ends[0]}
        time.sleep(0.1)
    raise RuntimeError(f"A series did not come to an end: {sorted(node.events(series_uid))}")


@contextmanager
def _load(node: RunningNode, files: Sequence[Path], folder: Path) -> Iterator[None]:
    """Have four senders send new series for as long as the context is open."""
    over = threading.Event()

    def send(number: int) -> None:
        for turn in range(1000):
            place = folder / f"{number}-{turn}"
            _sent(node, copy_of(list(files), place)[1])
            if over.is_set():
                return

    threads = [threading.Thread(target=send, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()


def _page_ms(node: RunningNode, page: str) -> float:
    """Return the median of twenty requests."""
    times = []
    for _ in range(20):
        begun = time.perf_counter()
        node.get(page)
        times.append((time.perf_counter() - begun) * 1e3)
    return statistics.median(times)


def show(
    found: dict[str, dict[str, list[float]]], title: str, *, reference: str
) -> dict[str, dict[str, float]]:
    """Print medians and medians of ratios within a repetition; return the ratios."""
    names = list(dict.fromkeys(name for values in found.values() for name in values))
    table = Table(title=f"{title}: median, and median of the ratios to {reference}")
    table.add_column("what")
    for name in names:
        table.add_column(name, justify="right")
    ratios: dict[str, dict[str, float]] = {}
    for figure, values in found.items():
        cells = []
        for name in names:
            if name not in values:
                cells.append("-")
                continue
            pairs = list(zip(values[name], values.get(reference, []), strict=False))
            ratio = [one / other for one, other in pairs if other]
            cell = f"{statistics.median(values[name]):.2f}"
            if ratio:
                ratios.setdefault(figure, {})[name] = statistics.median(ratio)
                cell += f" ({statistics.median(ratio):.2f}x)" if name != reference else ""
            cells.append(cell)
        table.add_row(figure, *cells)
    CONSOLE.print(table)
    return ratios
