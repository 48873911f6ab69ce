"""Times storage SCPs side by side, with cheap senders and with DCMTK's storescu.

In each repetition every receiver gets the same new images. The figures quoted are medians of
ratios within a repetition; processor time is the receiver's own, from /proc.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.bench import receivers
from tests.bench.raw_sender import RawSender
from tests.bench.receivers import Receiver

CONSOLE = Console()
_SENDER = Path(__file__).with_name("raw_sender.py")
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_ECHOES = 500
_OPENINGS = 30
_SENDERS = (1, 4, 8)

#: One to warm a receiver, one for each cheap sender, one for each way of storescu.
_FOLDERS = 1 + sum(_SENDERS) + 2
_REFERENCE = "Orthanc (durable)"

#: Figures of which less is better.
_LESS = ("CPU", "RSS", "open")


def bench_receive(wanted: argparse.Namespace) -> dict[str, object]:
    """Time every receiver that is installed, interleaved, and draw the result."""
    from ct_builder import build_ct_series, save_series

    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        for repetition in range(wanted.repetitions):
            folders = []
            for number in range(_FOLDERS):
                folder = root / f"images-{repetition}-{number}"
                seed = repetition * 100 + number
                series = build_ct_series(
                    slices=wanted.images, spacing_mm=1.0, seed=seed, noise_hu=4
                )
                save_series(series, folder)
                folders.append(folder)
            installed = list(receivers.available().items())
            turn = repetition % len(installed)  # nobody is always the first
            for name, start in installed[turn:] + installed[:turn]:
                place = root / f"{name}-{repetition}"
                place.mkdir()
                os.sync()  # what others have not written yet would be waited for by who syncs
                with start(place) as receiver:
                    for figure, value in _measure(receiver, folders):
                        found[figure][receiver.name].append(value)
                shutil.rmtree(place)
            for folder in folders:
                shutil.rmtree(folder)
    ratios = _show(found)
    wanted.output.mkdir(parents=True, exist_ok=True)
    draw(found, wanted.output / "receive.png")
    return {"images": wanted.images, "figures": found, "reference": _REFERENCE, "ratios": ratios}


def _measure(receiver: Receiver, folders: list[Path]) -> Iterable[tuple[str, float]]:
    """Yield what is measured of a receiver, once it has been warmed."""
    fresh = iter(folders)
    _send_raw(receiver, [next(fresh)])
    yield "C-ECHO/s", _echo_rate(receiver)
    yield "association open ms", _opening_ms(receiver)
    for count in _SENDERS:
        before = _cpu_s(receiver.pid)
        images, rate = _send_raw(receiver, list(islice(fresh, count)))
        yield f"images/s, {count} cheap senders", rate
        yield f"CPU ms per image, {count} senders", (_cpu_s(receiver.pid) - before) / images * 1e3
    for title, environment in (("stock", {}), ("TCP_NODELAY", {"TCP_NODELAY": "1"})):
        if shutil.which("storescu"):
            count = sum(1 for _ in folders[0].iterdir())
            yield (
                f"images/s, one {title} storescu",
                count / _storescu(receiver, folders[0], environment),
            )
    yield "RSS MB", _rss_mb(receiver.pid)


def _send_raw(receiver: Receiver, folders: list[Path]) -> tuple[int, float]:
    """Send each folder by a process of its own; return the images and how many in a second.

    The second is one on the wall: from when all senders may begin to the last answer. A receiver
    that serves one sender after the other is not praised for each of them.
    """
    senders = [
        subprocess.Popen(
            [
                sys.executable,
                _SENDER,
                "127.0.0.1",
                str(receiver.port),
                receiver.ae_title,
                folder,
                "1",
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for folder in folders
    ]
    for sender in senders:
        if sender.stdout is None or not sender.stdout.readline():
            raise RuntimeError("A sender did not begin")
    told = [sender.communicate()[0] for sender in _begun(senders)]
    found = [json.loads(one) for one in told]
    images = sum(len(one["images"]) for one in found)
    seconds = max(one["last"] for one in found) - min(one["first"] for one in found)
    return images, images / seconds


def _begun(senders: list[subprocess.Popen[bytes]]) -> list[subprocess.Popen[bytes]]:
    """Let all senders begin."""
    for sender in senders:
        if sender.stdin is not None:
            sender.stdin.write(b"\n")
            sender.stdin.flush()
    return senders


def _storescu(receiver: Receiver, folder: Path, extra: dict[str, str]) -> float:
    command = ["storescu", "-aec", receiver.ae_title, "+sd", "127.0.0.1", str(receiver.port)]
    environment = {key: value for key, value in os.environ.items() if key != "TCP_NODELAY"}
    begun = time.perf_counter()
    subprocess.run(
        [*command, str(folder)], check=True, capture_output=True, env=environment | extra
    )
    return time.perf_counter() - begun


def _echo_rate(receiver: Receiver) -> float:
    sender = RawSender("127.0.0.1", receiver.port, receiver.ae_title)
    begun = time.perf_counter()
    for _ in range(_ECHOES):
        sender.echo()
    seconds = time.perf_counter() - begun
    sender.release()
    return _ECHOES / seconds


def _opening_ms(receiver: Receiver) -> float:
    times = []
    for _ in range(_OPENINGS):
        begun = time.perf_counter()
        sender = RawSender("127.0.0.1", receiver.port, receiver.ae_title)
        times.append((time.perf_counter() - begun) * 1e3)
        sender.release()
    return statistics.median(times)


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


def _rss_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


def _show(found: dict[str, dict[str, list[float]]]) -> dict[str, dict[str, float]]:
    """Print a table a figure; return medians of ratios to Orthanc, or to the first receiver."""
    ratios: dict[str, dict[str, float]] = {}
    names = list(next(iter(found.values())))
    reference = _REFERENCE if _REFERENCE in names else names[0]
    table = Table(title=f"receive: median, and median of the ratios to {reference}")
    table.add_column("what")
    for name in names:
        table.add_column(name, justify="right")
    for figure, values in found.items():
        ratios[figure] = {
            name: statistics.median(
                one / other for one, other in zip(values[name], values[reference], strict=True)
            )
            for name in names
        }
        table.add_row(
            figure,
            *(
                f"{statistics.median(values[name]):.1f} ({ratios[figure][name]:.2f}x)"
                for name in names
            ),
        )
    CONSOLE.print(table)
    return ratios


def draw(found: dict[str, dict[str, list[float]]], target: Path) -> None:
    """Draw every figure as bars with each repetition as a point."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    columns = 3
    rows = -(-len(found) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(13, 2.6 * rows), layout="constrained")
    for place, (title, values) in zip(axes.flat, found.items(), strict=False):
        names = list(values)
        place.barh(names, [statistics.median(values[name]) for name in names], color="#7aa6c2")
        for row, name in enumerate(names):
            place.plot(values[name], [row] * len(values[name]), "k.", markersize=4)
        less = any(word in title for word in _LESS)
        place.set_title(f"{title} ({'less' if less else 'more'} is better)", fontsize=9)
        place.tick_params(labelsize=7)
        place.invert_yaxis()
    for place in list(axes.flat)[len(found) :]:
        place.remove()
    figure.savefig(target, dpi=110)
    plt.close(figure)
