"""Kills beside another archive: the same objects, sent by dcmtk, to this node and to Orthanc.

Each round starts the system, has storescu send images, and kills the system a moment after it has
acknowledged so many of them, by chance, the same number for each system: all are struck in the
middle of their work, however quick they are. Then it is started again, and every object of which
storescu says that Success was answered is asked for and compared, data set by data set. SIGKILL
loses only what a process had not yet handed to the kernel; `power_cut` (`faults.traced`) therefore
goes on to take away what was not synced.
"""

import io
import json
import random
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import pydicom
from bench.receivers import free_port
from ct_builder import build_ct_series
from faults.traced import Trace, traced
from pydicom.dataset import Dataset

_SHAPE_YX = (128, 128)
_PATIENCE_S = 120.0
_HOST = "127.0.0.1"

_SENDING, _SUCCESS = "I: Sending file: ", "I: Received Store Response (Success)"


class System(Protocol):
    """A storage SCP with a store of its own, that can be started again."""

    @property
    def name(self) -> str:
        """What it is called in the report."""

    @property
    def title(self) -> str:
        """Its AE title."""

    @property
    def port(self) -> int:
        """Where it listens, on 127.0.0.1."""

    @property
    def root(self) -> Path:
        """Folder of its own."""

    @property
    def store(self) -> Path:
        """Where it keeps everything."""

    @property
    def command(self) -> Sequence[str]:
        """What starts it."""

    def is_ready(self) -> bool:
        """Return whether it answers."""

    def get(self, uid: str) -> bytes | None:
        """Return the file of an instance, None if it is not there."""


@dataclass(slots=True)
class Node:
    """The receiver of this project."""

    root: Path
    port: int = field(default_factory=free_port)
    name: str = "ichnode"
    title: str = "ICHNODE"

    def __post_init__(self) -> None:
        self.root.mkdir(parents=True)
        (self.root / "node.toml").write_text(
            f'[node]\nport = {self.port}\ncallers = ["*"]\ndata_dir = "{self.store}"\n'
            "free_space_floor_mb = 0\n[web]\nenabled = false\n"
        )

    @property
    def store(self) -> Path:
        """Where it keeps everything."""
        return self.root / "data"

    @property
    def command(self) -> Sequence[str]:
        """What starts it."""
        program = [sys.executable, "-m", "dicom_node", "serve", "--only", "receiver"]
        return [*program, "--config", str(self.root / "node.toml")]

    def is_ready(self) -> bool:
        """Return whether it listens: it does so when spool and ledger are in order."""
        return _listens(self.port)

    def get(self, uid: str) -> bytes | None:
        """Return the file that the ledger names."""
        with closing(sqlite3.connect(self.store / "ledger.sqlite")) as ledger:
            row = ledger.execute(
                "SELECT path FROM instances WHERE sop_instance_uid = ? AND current", (uid,)
            ).fetchone()
        path = None if row is None else self.store / "spool" / row[0]
        return path.read_bytes() if path is not None and path.is_file() else None


@dataclass(slots=True)
class Orthanc:
    """Orthanc with its built-in SQLite index."""

    root: Path
    name: str
    more: dict[str, object] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    http_port: int = field(default_factory=free_port)
    title: str = "ORTHANC"

    def __post_init__(self) -> None:
        self.root.mkdir(parents=True)
        settings = {
            "StorageDirectory": str(self.store),
            "IndexDirectory": str(self.store),
            "DicomAet": self.title,
            "DicomPort": self.port,
            "HttpPort": self.http_port,
            "RemoteAccessAllowed": False,
            "AuthenticationEnabled": False,
            "DicomAlwaysAllowStore": True,
            "Plugins": [],
        }
        (self.root / "orthanc.json").write_text(json.dumps(settings | self.more))

    @property
    def store(self) -> Path:
        """Where it keeps everything."""
        return self.root / "store"

    @property
    def command(self) -> Sequence[str]:
        """What starts it."""
        program = shutil.which("Orthanc") or shutil.which("Orthanc", path="/usr/sbin") or "Orthanc"
        return [program, str(self.root / "orthanc.json")]

    def is_ready(self) -> bool:
        """Return whether both of its servers listen."""
        return _listens(self.http_port) and _listens(self.port)

    def get(self, uid: str) -> bytes | None:
        """Return the file that its REST interface gives."""
        found = json.loads(self._ask("/tools/lookup", uid.encode()))
        instances = [one["ID"] for one in found if one["Type"] == "Instance"]
        try:
            return self._ask(f"/instances/{instances[0]}/file") if instances else None
        except OSError:  # the index knows it, the storage area does not
            return None

    def _ask(self, path: str, body: bytes | None = None) -> bytes:
        request = urllib.request.Request(f"http://{_HOST}:{self.http_port}{path}", data=body)
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - loopback
            return answer.read()


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """When a system is killed.

    Attributes
    ----------
    acknowledged : int
        After so many images have been acknowledged.
    after_s : float
        So long after that; at most as long as an image takes.
    """

    acknowledged: int
    after_s: float


@dataclass(slots=True, kw_only=True)
class Tally:
    """What became of one system.

    Attributes
    ----------
    name : str
        Which one.
    kills, sent, acknowledged : int
        Processes killed, images offered, images answered with Success.
    missing, changed : int
        Acknowledged images that are gone, or have another data set.
    unasked : int
        Images that are there although their Success never arrived: a repeat finds them.
    cut : int
        Files and pages that a power cut took away.
    seconds : float
        How long it took.
    """

    name: str
    kills: int = 0
    sent: int = 0
    acknowledged: int = 0
    missing: int = 0
    changed: int = 0
    unasked: int = 0
    cut: int = 0
    seconds: float = 0.0


def systems_below(folder: Path) -> tuple[System, ...]:
    """Return this node, and Orthanc as it is installed and without its sync of files.

    As installed is the safest that it can be set to: it syncs files, and has no option for the
    index.
    """
    return (
        Node(folder / "node"),
        Orthanc(folder / "orthanc", "Orthanc 1.10.1, as installed"),
        Orthanc(folder / "unsynced", "Orthanc, SyncStorageArea off", {"SyncStorageArea": False}),
    )


def compare(
    systems: Sequence[System],
    folder: Path,
    *,
    kills: int,
    images: int,
    seed: int = 0,
    power_cut: bool = False,
    on_round: Callable[[Tally], None] = lambda _: None,
) -> list[Tally]:
    """Kill each system so often while images are sent to it; return what became of them."""
    tallies = [Tally(name=one.name) for one in systems]
    chance = random.Random(seed)  # noqa: S311 - a draw, no secret
    image_s = {one.name: _whole(one, folder / "whole", images) / images for one in systems}
    for number in range(kills):
        acknowledged, share = chance.randrange(images), chance.random()
        files = _series(folder / "images", images, seed=seed + number + 1)
        for system, tally in zip(systems, tallies, strict=True):
            begun = time.monotonic()
            trace = Trace(system.root / "trace") if power_cut else None
            after_s = image_s[system.name] * share
            _round(system, tally, files, trace, Moment(acknowledged=acknowledged, after_s=after_s))
            tally.seconds += time.monotonic() - begun
            on_round(tally)
        shutil.rmtree(folder / "images")
    return tallies


def _round(
    system: System, tally: Tally, files: Sequence[Path], trace: Trace | None, moment: Moment
) -> None:
    """Kill once; count what was acknowledged and is not there."""
    acknowledged = _killed(system, files, trace, moment)
    tally.kills += 1
    tally.sent += len(files)
    if trace is not None:
        tally.cut += trace.cut(system.store)
    process = _started(system, system.command)
    try:
        for file in files:
            wanted = pydicom.dcmread(file)
            uid = str(wanted.SOPInstanceUID)
            found = system.get(uid)
            if file not in acknowledged:
                tally.unasked += found is not None
                continue
            tally.acknowledged += 1
            tally.missing += found is None
            tally.changed += found is not None and not _same(found, wanted)
    finally:
        _stop(process, signal.SIGTERM)


def _killed(
    system: System, files: Sequence[Path], trace: Trace | None, moment: Moment
) -> set[Path]:
    """Have files sent, kill the system at a moment; return those that were acknowledged."""
    command = list(system.command) if trace is None else traced(system.command, trace.log)
    process = _started(system, command)
    sender = _sender(system, files)
    try:
        said = _until(sender, moment.acknowledged)
        time.sleep(moment.after_s)
    finally:
        if trace is None:
            _stop(process, signal.SIGKILL)
        else:
            trace.kill(process)
    rest, _ = sender.communicate(timeout=_PATIENCE_S)
    return set(_acknowledged("".join(said) + rest))


def _until(sender: subprocess.Popen[str], acknowledged: int) -> list[str]:
    """Return what a sender says until so many of its images have been acknowledged."""
    said: list[str] = []
    while acknowledged and (line := sender.stdout.readline()):
        said.append(line)
        acknowledged -= line.startswith(_SUCCESS)
    return said


def _sender(system: System, files: Sequence[Path]) -> subprocess.Popen[str]:
    program = ["storescu", "-v", "-to", "20", "-ta", "20", "-td", "20"]
    titles = ["-aet", "STORESCU", "-aec", system.title, _HOST, str(system.port)]
    return subprocess.Popen(
        [*program, *titles, *map(str, files)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _acknowledged(output: str) -> Iterator[Path]:
    """Yield the files of which storescu says that Success was answered."""
    file = None
    for line in output.splitlines():
        if line.startswith(_SENDING):
            file = Path(line.removeprefix(_SENDING).strip())
        elif line.startswith(_SUCCESS) and file is not None:
            yield file
            file = None


def _whole(system: System, folder: Path, images: int) -> float:
    """Return how long an undisturbed sender takes."""
    files = _series(folder, images, seed=0)
    process = _started(system, system.command)
    try:
        begun = time.monotonic()
        output, _ = _sender(system, files).communicate(timeout=_PATIENCE_S)
        if len(list(_acknowledged(output))) != images:
            raise RuntimeError(f"{system.name} does not take the images:\n{output[-2000:]}")
        return time.monotonic() - begun
    finally:
        _stop(process, signal.SIGTERM)
        shutil.rmtree(folder)


def _series(folder: Path, images: int, *, seed: int) -> list[Path]:
    folder.mkdir(parents=True)
    series = build_ct_series(slices=images, shape_yx=_SHAPE_YX, seed=seed)
    files = []
    for number, ds in enumerate(series):
        files.append(folder / f"{number:03}.dcm")
        ds.save_as(files[-1], enforce_file_format=True)
    return files


def _same(found: bytes, wanted: Dataset) -> bool:
    try:
        return pydicom.dcmread(io.BytesIO(found)) == wanted
    except (OSError, ValueError, pydicom.errors.InvalidDicomError):
        return False


def _started(system: System, command: Sequence[str]) -> subprocess.Popen[bytes]:
    with (system.root / "log").open("ab") as log:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=system.root
        )
    limit = time.monotonic() + _PATIENCE_S
    while not system.is_ready():
        if process.poll() is not None or time.monotonic() > limit:
            said = (system.root / "log").read_text(errors="replace")
            raise RuntimeError(f"{system.name} did not start: {said[-800:]}")
        time.sleep(0.05)
    return process


def _stop(process: subprocess.Popen[bytes], how: signal.Signals) -> None:
    process.send_signal(how)
    process.wait(_PATIENCE_S)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((_HOST, port)) == 0
