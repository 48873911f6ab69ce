"""The node as it is run: supervisor, receiver, worker and office are killed while images come.

So is the server of its ledger, where that is PostgreSQL: it ends in the midst of everything
(``pg_ctl stop -m immediate``), is away for some seconds, and comes back.

Every process is the real one (`ichnode serve` with stand-ins for the networks), and so are clock
and network. It costs seconds a kill, where `faults.campaign` costs one; in return it kills what
that cannot: the supervisor, and threads in the midst of each other's work.
"""

import hashlib
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from acceptance.node_process import NodeProcess
from ct_builder import Ball, build_ct_series, save_series
from faults.invariants import Scene, data_set_of, instance_digest, unfinished, violations
from faults.invariants import read_copies as read
from faults.ledgers import Databases, Files, place_of, reading
from faults.outside import append
from faults.stage import FILES
from pydicom.uid import ExplicitVRLittleEndian

from dicom_node.association.archive_scp import ArchiveScp
from dicom_node.association.storage_scu import outgoing_file, send_files
from dicom_node.errors import PeerError

_ROLES = ("supervisor", "receiver", "worker", "office")
_SERVER = "database server"
_SLICES, _SHAPE_YX = 12, (48, 48)
_PATIENCE_S = 900.0
_PEER = "pacs"


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What came of it.

    Attributes
    ----------
    kills : dict of str to int
        By process.
    series : int
        How many were sent until all their images were acknowledged.
    interrupted : int
        How often a sender had to begin again.
    refused : dict of str to int
        What the sender was told of images that were not taken, and how often.
    slowest_back_s : float
        Longest time from the return of the database server to the next image in custody.
    violations : list of str
        What was wrong when the node had come to rest.
    seconds : float
        How long it took.
    """

    kills: dict[str, int] = field(default_factory=dict)
    series: int = 0
    interrupted: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    slowest_back_s: float = 0.0
    violations: list[str] = field(default_factory=list)
    seconds: float = 0.0


def kill_processes(folder: Path, *, kills: int, seed: int = 0, ledgers: Files = FILES) -> Outcome:
    """Kill so often, then let the node come to rest, and judge it."""
    victims = _ROLES
    if isinstance(ledgers, Databases):  # in every other turn, for it is what the run is about
        victims = tuple(name for role in _ROLES[::-1] for name in (_SERVER, role))
    begun, outcome = time.monotonic(), Outcome(kills=dict.fromkeys(victims, 0))
    chance = random.Random(seed)  # noqa: S311 - a draw, no secret
    archive = ArchiveScp(
        folder / "pacs", ae_title="PACS", host="127.0.0.1", port=0, on_stored=lambda _: None
    )
    archive.start()
    (folder / "node").mkdir()
    node = NodeProcess(folder / "node", pacs_port=archive.port)
    node.patience_s = _PATIENCE_S
    _put_ledger(node, ledgers)
    sender = _Sender(node, folder, outcome)
    try:
        node.start()
        sender.start()
        for number in range(kills):
            time.sleep(chance.uniform(0.5, 6.0))
            victim = victims[number % len(victims)]
            if victim == _SERVER:
                assert isinstance(ledgers, Databases)
                _take_server_away(ledgers, sender, seconds=chance.uniform(0.5, 8.0))
            else:
                _kill(node, victim)
            outcome.kills[victim] += 1
        sender.is_over.set()
        sender.join(_PATIENCE_S)
        _rest(node)
    finally:
        sender.is_over.set()
        if node.process is not None and node.process.poll() is None:
            node.stop()
        archive.stop()
    scene = Scene(
        data=folder / "node" / "data",
        acknowledged=read(folder / "acknowledged"),
        archived=(),
    )
    outcome.violations = [
        text for text in violations(scene) if "counts as delivered and is not in" not in text
    ]
    outcome.violations += _archived_wrongly(folder)
    outcome.seconds = time.monotonic() - begun
    return outcome


class _Sender(threading.Thread):
    """Sends series after series; one that was not wholly acknowledged is sent again."""

    def __init__(self, node: NodeProcess, folder: Path, outcome: Outcome) -> None:
        super().__init__(daemon=True)
        self._node = node
        self._folder = folder
        self.outcome = outcome
        self.is_over = threading.Event()
        self.last_taken_at = 0.0

    def run(self) -> None:
        number = 0
        while not self.is_over.is_set():
            series = build_ct_series(
                slices=_SLICES,
                shape_yx=_SHAPE_YX,
                balls=(Ball(),),
                seed=number,
                patient_id=f"P{number}",
            )
            files = save_series(series, self._folder / f"ct-{number}")
            while not self._is_sent(files):
                self.outcome.interrupted += 1
                time.sleep(0.3)
            self.outcome.series += 1
            number += 1
            time.sleep(1.0)

    def wait_for_image(self, *, after: float) -> float:
        """Return when an image was taken that was taken after this time."""
        while self.last_taken_at < after:
            assert time.monotonic() < after + _PATIENCE_S, "no image was taken any more"
            time.sleep(0.02)
        return self.last_taken_at

    def _is_sent(self, files: Sequence[Path]) -> bool:
        sent = []

        def on_outcome(outcome) -> None:
            if outcome.accepted:
                content = data_set_of(outcome.file.path.read_bytes())
                digest = instance_digest(str(ExplicitVRLittleEndian), content)
                uid = outcome.file.sop_instance_uid
                append(self._folder / "acknowledged", uid=uid, digest=digest)
                sent.append(uid)
                self.last_taken_at = time.monotonic()
            else:
                told = str(outcome.kind) if outcome.status is None else f"{outcome.status:04X}H"
                self.outcome.refused[told] = self.outcome.refused.get(told, 0) + 1

        with suppress(PeerError):
            outgoing = [outgoing_file(path) for path in files]
            send_files(self._node.peer, outgoing, on_outcome=on_outcome)
        return len(sent) == len(files)


def _kill(node: NodeProcess, role: str) -> None:
    if role == "supervisor":
        node.kill()
        node.start()
        return
    pid = node.pid_of(role)
    with suppress(ProcessLookupError):  # it may have died by itself, and a new one be on its way
        os.kill(pid, signal.SIGKILL)
    limit = time.monotonic() + _PATIENCE_S
    while node.pid_of(role) == pid and time.monotonic() < limit:
        time.sleep(0.1)


def _put_ledger(node: NodeProcess, ledgers: Files) -> None:
    """Have the node's ledger lie where the campaign wants it."""
    data = node.folder / "data"
    data.mkdir()
    ledgers.found(data)
    place = place_of(data)
    if not isinstance(place, Path):
        text = node.config.read_text()
        node.config.write_text(text.replace("[node]\n", f'[node]\nledger = "{place.url}"\n', 1))


def _take_server_away(ledgers: Databases, sender: "_Sender", *, seconds: float) -> None:
    """End the server of the ledger while images are taken; it comes back, and so do images."""
    sender.wait_for_image(after=time.monotonic())
    ledgers.cluster.crash()
    time.sleep(seconds)
    ledgers.cluster.launch()
    back_at = time.monotonic()
    taken_at = sender.wait_for_image(after=back_at)
    sender.outcome.slowest_back_s = max(sender.outcome.slowest_back_s, taken_at - back_at)


def _rest(node: NodeProcess) -> None:
    """Wait until nothing waits any more, or for as long as is sensible."""
    limit = time.monotonic() + _PATIENCE_S
    while unfinished(node.folder / "data") and time.monotonic() < limit:
        time.sleep(1.0)


def _archived_wrongly(folder: Path) -> list[str]:
    """Compare what the archive has with what the ledger says that it accepted, data sets only."""
    data = folder / "node" / "data"
    with reading(data) as ledger:
        accepted = dict(
            ledger.execute(
                "SELECT o.sop_instance_uid, o.path FROM objects o JOIN deliveries d "
                "USING (object_id) WHERE d.state IN ('accepted', 'committed')"
            )
        )
    wanted = {uid: _digest(data / "outbox" / path) for uid, path in accepted.items()}
    found = Counter()
    texts = []
    for path in (folder / "pacs").rglob("*.dcm"):
        uid = outgoing_file(path).sop_instance_uid
        found[uid] += 1
        if uid not in wanted:
            texts.append(f"doubled: object {uid} is in the archive and not among the results")
        elif _digest(path) != wanted[uid]:
            texts.append(f"doubled: the archive has another content under {uid}")
    return texts + [
        f"lost: object {uid} counts as delivered and is not in the archive"
        for uid in wanted
        if not found[uid]
    ]


def _digest(path: Path) -> str:
    return hashlib.sha256(data_set_of(path.read_bytes())).hexdigest()
