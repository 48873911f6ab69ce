"""Times one small object over an association of its own and over one that was kept open.

Both go by turns to DCMTK's storescp and to Orthanc, without and with TLS. Then: what a kept
association costs this process while nothing travels over it.
"""

import argparse
import functools
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.bench import receivers
from tests.bench.receivers import Receiver

CONSOLE = Console()
_ALONE, _KEPT = "association of its own", "association kept open"
_WATCH_S = 5.0


def bench_associations(wanted: argparse.Namespace) -> dict[str, object]:
    """Time every receiver that is installed; ten objects a repetition and way."""
    from certificate_builder import Authority
    from ct_builder import build_ct_series, save_series

    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    idle: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        save_series(build_ct_series(slices=1, spacing_mm=8.0), place / "images")
        authority = Authority(place / "ca")
        own, theirs = authority.issue("node"), authority.issue("pacs", rsa_bits=2048)
        for name in sorted({"storescp", "orthanc"} & set(receivers.available())):
            for has_tls in (False, True):
                folder = place / f"{name}-{has_tls}"
                folder.mkdir()
                tls = (theirs, authority.certificate) if has_tls else None
                with getattr(receivers, name)(folder, tls=tls) as receiver:
                    peer = _peer(receiver, own, authority.certificate if has_tls else None)
                    _time(found[receiver.name], peer, place / "images", wanted.repetitions)
                    if not has_tls:
                        idle |= _idle(peer, place / "images")
    return {
        "milliseconds an object": found,
        "CPU ms a second": idle,
        "medians": _show(found, idle),
    }


def _peer(receiver: Receiver, own, trusted: Path | None):
    from dicom_node.association.peers import Peer
    from dicom_node.association.tls import ClientTls, TlsFiles

    files = trusted and TlsFiles(certificate=own.certificate, key=own.key, trusted=trusted)
    return Peer(
        name="bench",
        ae_title=receiver.ae_title,
        host="127.0.0.1",
        port=receiver.port,
        calling_ae_title="ICHNODE",
        tls=files and ClientTls(files=files),
    )


def _time(found: dict[str, list[float]], peer, images: Path, repetitions: int) -> None:
    from dicom_node.association.kept_associations import KeptAssociations
    from dicom_node.association.storage_scu import outgoing_file

    files = [outgoing_file(path) for path in images.iterdir()]
    for _ in range(repetitions):
        for name, seconds in ((_ALONE, 0.0), (_KEPT, 300.0)):  # storescp serves one at a time
            store = KeptAssociations(peer, keep_s=seconds)
            _sent(store, files)
            for _ in range(10):
                found[name].append(1e3 * _seconds(functools.partial(_sent, store, files)))
            store.close()


def _sent(store, files: Sequence[object]) -> None:
    store.send(files, on_outcome=_must_be_accepted, on_progress=_must_not_happen)


def _must_be_accepted(outcome) -> None:
    if not outcome.accepted:
        raise RuntimeError(outcome.message)


def _must_not_happen() -> None:
    raise RuntimeError("A kept association was of no use")


def _seconds(call: Callable[[], None]) -> float:
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun


def _idle(peer, images: Path) -> dict[str, float]:
    """Return processor milliseconds a second: with none, one kept, one as the library has it."""
    from dicom_node.association.kept_associations import KeptAssociations
    from dicom_node.association.storage_scu import outgoing_file, storage_line

    files = [outgoing_file(path) for path in images.iterdir()]
    found = {"no association": _cpu_ms()}
    store = KeptAssociations(peer, keep_s=300)
    _sent(store, files)
    found["one kept"] = _cpu_ms()
    store.close()
    with storage_line(peer, files):
        found["one with the library's threads at work"] = _cpu_ms()
    return found


def _cpu_ms() -> float:
    begun = time.process_time()
    time.sleep(_WATCH_S)
    return 1e3 * (time.process_time() - begun) / _WATCH_S


def _show(
    found: dict[str, dict[str, list[float]]], idle: dict[str, float]
) -> dict[str, dict[str, float]]:
    table = Table("receiver", _ALONE, _KEPT, "saved", title="associations: ms an object, median")
    medians: dict[str, dict[str, float]] = {}
    for name, ways in found.items():
        middle = {way: statistics.median(values) for way, values in ways.items()}
        saved = statistics.median(
            one - other for one, other in zip(ways[_ALONE], ways[_KEPT], strict=True)
        )
        medians[name] = middle | {"saved": saved}
        table.add_row(name, f"{middle[_ALONE]:.1f}", f"{middle[_KEPT]:.1f}", f"{saved:.1f}")
    CONSOLE.print(table)
    for name, cpu_ms in idle.items():
        CONSOLE.print(f"{name}: {cpu_ms:.1f} ms of processor time a second")
    return medians
