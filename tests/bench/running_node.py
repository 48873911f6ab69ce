"""The whole node as its users start it, with an archive that takes its results."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dicom_node.association.archive_scp import ArchiveScp
from dicom_node.association.peers import Peer
from dicom_node.commands.demo_stage import free_ports

ROOT = Path(__file__).parents[2]
STAND_IN = ROOT / "tests" / "acceptance" / "stand_in_node.py"
START_LIMIT_S = 300.0

_SETTINGS = """
[node]
port = {dicom_port}
callers = ["*"]
data_dir = "{data}"
free_space_floor_mb = 0
[[peers]]
name = "archive"
ae_title = "ARCHIVE"
host = "127.0.0.1"
port = {archive_port}
receives_results = true
[assembly]
quiet_time_s = {quiet_s}
study_quiet_time_s = {quiet_s}
[worker]
segmentation_bundle = "{segmentation}"
early_analysis = {early}
[follow_up]
enabled = false
[web]
port = {web_port}
open_on_loopback = true
"""


@dataclass(slots=True)
class RunningNode:
    """A node that has said that it is ready.

    Attributes
    ----------
    start_s : float
        From the command to that.
    """

    folder: Path
    process: subprocess.Popen[str]
    dicom_port: int
    web_port: int
    start_s: float = 0.0

    @property
    def peer(self) -> Peer:
        """The node as a modality calls it."""
        return Peer(
            name="node",
            ae_title="ICHNODE",
            host="127.0.0.1",
            port=self.dicom_port,
            calling_ae_title="BENCH",
        )

    def get(self, path: str) -> bytes:
        """Return what a page answers."""
        url = f"http://127.0.0.1:{self.web_port}{path}"
        with urllib.request.urlopen(url, timeout=60) as answer:
            body: bytes = answer.read()
        return body

    def rows(self, asked: str, *values: str) -> list[Any]:
        """Return what the ledger answers to a query."""
        ledger = f"file:{self.folder / 'data' / 'ledger.sqlite'}?mode=ro"
        with closing(sqlite3.connect(ledger, uri=True)) as opened:
            return opened.execute(asked, values).fetchall()

    def events(self, series_uid: str) -> dict[str, float]:
        """Return when each thing first happened to a series, in seconds of `time.time`."""
        rows = self.rows(
            "SELECT kind, text, at FROM events WHERE series_uid = ? ORDER BY event_id", series_uid
        )
        found: dict[str, float] = {}
        for kind, text, at in rows:
            moment = datetime.fromisoformat(at)
            moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
            found.setdefault(f"step {text}" if kind == "step" else kind, moment.timestamp())
        return found

    def pss_mb(self) -> dict[str, float]:
        """Return the proportional set size of each process, by its role."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        sizes = {"supervisor": _pss_mb(self.process.pid)}
        for pid in map(int, children.read_text().split()):
            words = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
            sizes[words[words.index("--only") + 1]] = _pss_mb(pid)
        return sizes


@contextmanager
def running_node(
    folder: Path, *, segmentation: str = "", early: bool = True, quiet_s: float = 5.0
) -> Iterator[RunningNode]:
    """Run a node in an empty folder; without a bundle its models are stand-ins."""
    folder.mkdir(parents=True)
    dicom_port, web_port = free_ports(2)
    archive = ArchiveScp(
        folder / "archive",
        ae_title="ARCHIVE",
        host="127.0.0.1",
        port=0,
        on_stored=lambda _stored: None,
    )
    archive.start()
    config = folder / "node.toml"
    config.write_text(
        _SETTINGS.format(
            dicom_port=dicom_port,
            web_port=web_port,
            data=folder / "data",
            archive_port=archive.port,
            segmentation=segmentation or "demo-segmentation",
            early=json.dumps(early),
            quiet_s=quiet_s,
        )
    )
    command = (
        [sys.executable, "-m", "dicom_node", "serve"]
        if segmentation
        else [
            sys.executable,
            str(STAND_IN),
        ]
    )
    with (folder / "log.txt").open("w") as log:
        begun = time.perf_counter()
        process = subprocess.Popen(
            [*command, "--config", str(config)],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )
        node = RunningNode(folder, process, dicom_port, web_port)
        try:
            _wait_until_ready(process, folder)
            node.start_s = time.perf_counter() - begun
            yield node
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=120)
            archive.stop()


def _wait_until_ready(process: subprocess.Popen[str], folder: Path) -> None:
    timer = threading.Timer(START_LIMIT_S, process.kill)
    timer.start()
    try:
        for line in process.stdout or ():
            if line.startswith("ready:"):
                return
    finally:
        timer.cancel()
    raise RuntimeError(f"The node did not start: {(folder / 'log.txt').read_text()[-1500:]}")


def _pss_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024
