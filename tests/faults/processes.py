"""The node as it is run: supervisor, receiver, worker and office are killed while images come.

Every process is the real one (`ichnode serve` with stand-ins for the networks), and so are clock
and network. It costs seconds a kill, where `faults.campaign` costs one; in return it kills what
that cannot: the supervisor, and threads in the midst of each other's work.
"""

import hashlib
import os
import random
import signal
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

from acceptance.node_process import NodeProcess
from ct_builder import Ball, build_ct_series, save_series
from faults.invariants import Scene, data_set_of, instance_digest, unfinished, violations
from faults.invariants import read_copies as read
from faults.outside import append
from pydicom.uid import ExplicitVRLittleEndian

from dicom_node.association.archive_scp import ArchiveScp
from dicom_node.association.storage_scu import outgoing_file, send_files
from dicom_node.errors import PeerError

_ROLES = ("supervisor", "receiver", "worker", "office")
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
    violations : list of str
        What was wrong when the node had come to rest.
    seconds : float
        How long it took.
    """

    kills: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_ROLES, 0))
    series: int = 0
    interrupted: int = 0
    violations: list[str] = field(default_factory=list)
    seconds: float = 0.0


def kill_processes(folder: Path, *, kills: int, seed: int = 0) -> Outcome:
    """Kill so often, then let the node come to rest, and judge it."""
    begun, outcome = time.monotonic(), Outcome()
    chance = random.Random(seed)  # noqa: S311 - a draw, no secret
    archive = ArchiveScp(
        folder / "pacs", ae_title="PACS", host="127.0.0.1", port=0, on_stored=lambda _: None
    )
    archive.start()
    (folder / "node").mkdir()
    node = NodeProcess(folder / "node", pacs_port=archive.port)
    node.patience_s = _PATIENCE_S
    sender = _Sender(node, folder, outcome)
    try:
        node.start()
        sender.start()
        for number in range(kills):
            time.sleep(chance.uniform(0.5, 6.0))
            _kill(node, _ROLES[number % len(_ROLES)])
            outcome.kills[_ROLES[number % len(_ROLES)]] += 1
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
        self._outcome = outcome
        self.is_over = threading.Event()

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
                self._outcome.interrupted += 1
                time.sleep(0.3)
            self._outcome.series += 1
            number += 1
            time.sleep(1.0)

    def _is_sent(self, files: Sequence[Path]) -> bool:
        sent = []

        def on_outcome(outcome) -> None:
            if outcome.accepted:
                content = data_set_of(outcome.file.path.read_bytes())
                digest = instance_digest(str(ExplicitVRLittleEndian), content)
                uid = outcome.file.sop_instance_uid
                append(self._folder / "acknowledged", uid=uid, digest=digest)
                sent.append(uid)

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


def _rest(node: NodeProcess) -> None:
    """Wait until nothing waits any more, or for as long as is sensible."""
    limit = time.monotonic() + _PATIENCE_S
    while unfinished(node.folder / "data") and time.monotonic() < limit:
        time.sleep(1.0)


def _archived_wrongly(folder: Path) -> list[str]:
    """Compare what the archive has with what the ledger says that it accepted, data sets only."""
    data = folder / "node" / "data"
    with closing(sqlite3.connect(data / "ledger.sqlite")) as ledger:
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
