"""Times storage SCUs side by side: this node's, with pynetdicom's writer as a switch, and DCMTK's.

Each sends the same files over one association to DCMTK's storescp, which costs the least of all
receivers. Processor time is the sender's own; that of storescu holds the start of its process.
"""

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.bench import receivers
from tests.bench.receivers import Receiver

CONSOLE = Console()
_REFERENCE = "dcmtk storescu"


def bench_send(wanted: argparse.Namespace) -> dict[str, object]:
    """Time every sender that is installed, interleaved."""
    from ct_builder import build_ct_series, save_series

    if not (shutil.which("storescu") and shutil.which("storescp")):
        CONSOLE.print("send: DCMTK is not installed")
        return {}
    senders: dict[str, Callable[[Receiver, Path], None]] = {
        "ichnode": partial(_node, by_library=False),
        "ichnode, pynetdicom's writer": partial(_node, by_library=True),
        _REFERENCE: _storescu,
    }
    if shutil.which("dcmsend"):
        senders["dcmtk dcmsend"] = _dcmsend
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    with tempfile.TemporaryDirectory() as scratch:
        folder, few = Path(scratch) / "images", Path(scratch) / "few"
        save_series(build_ct_series(slices=wanted.images, spacing_mm=1.0, noise_hu=4), folder)
        save_series(build_ct_series(slices=2, spacing_mm=1.0, noise_hu=4), few)
        for repetition in range(wanted.repetitions):
            place = Path(scratch) / f"store-{repetition}"
            place.mkdir()
            with receivers.storescp(place) as receiver:
                for name, send in senders.items():
                    send(receiver, few)
                    rate, cpu_ms = _timed(partial(send, receiver, folder), wanted.images)
                    found["images/s"][name].append(rate)
                    found["CPU ms per image"][name].append(cpu_ms)
            shutil.rmtree(place)
    return {
        "images": wanted.images,
        "figures": found,
        "reference": _REFERENCE,
        "ratios": _show(found),
    }


def _timed(send: Callable[[], None], images: int) -> tuple[float, float]:
    """Return images a second and milliseconds of processor time an image."""
    cpu, begun = _cpu_s(), time.perf_counter()
    send()
    seconds = time.perf_counter() - begun
    return images / seconds, (_cpu_s() - cpu) / images * 1e3


def _cpu_s() -> float:
    """Return the processor time of this process and of the children that have ended."""
    return sum(
        one.ru_utime + one.ru_stime
        for one in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )


def _node(receiver: Receiver, folder: Path, *, by_library: bool) -> None:
    from dicom_node.association.peers import Peer
    from dicom_node.association.storage_scu import outgoing_file, send_files

    peer = Peer(
        name="bench",
        ae_title=receiver.ae_title,
        host="127.0.0.1",
        port=receiver.port,
        calling_ae_title="ICHNODE",
    )
    files = [outgoing_file(path) for path in sorted(folder.iterdir())]
    outcomes = send_files(peer, files, by_library=by_library)
    if not all(one.accepted for one in outcomes):
        raise RuntimeError("Not every image was accepted")


def _storescu(receiver: Receiver, folder: Path) -> None:
    _dcmtk(["storescu", "-xe", "-aec", receiver.ae_title, "+sd"], receiver, folder)


def _dcmsend(receiver: Receiver, folder: Path) -> None:
    _dcmtk(["dcmsend", "-aec", receiver.ae_title, "+sd"], receiver, folder)


def _dcmtk(command: list[str], receiver: Receiver, folder: Path) -> None:
    subprocess.run(
        [*command, "127.0.0.1", str(receiver.port), str(folder)],
        check=True,
        capture_output=True,
        env=os.environ | {"TCP_NODELAY": "1"},
    )


def _show(found: dict[str, dict[str, list[float]]]) -> dict[str, dict[str, float]]:
    """Print a table; return medians of the ratios to storescu within each repetition."""
    table = Table(title=f"send: median, and median of the ratios to {_REFERENCE}")
    table.add_column("sender")
    ratios: dict[str, dict[str, float]] = {}
    for figure, values in found.items():
        table.add_column(figure, justify="right")
        ratios[figure] = {
            name: statistics.median(
                one / other for one, other in zip(own, values[_REFERENCE], strict=True)
            )
            for name, own in values.items()
        }
    for name in next(iter(found.values())):
        table.add_row(
            name,
            *(
                f"{statistics.median(values[name]):.2f} ({ratios[figure][name]:.2f}x)"
                for figure, values in found.items()
            ),
        )
    CONSOLE.print(table)
    return ratios
