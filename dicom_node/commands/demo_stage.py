"""The stage of the demonstration: a folder, free ports, a patient, a node and a PACS."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from dicom_node.association.archive_scp import ArchivedObject, ArchiveScp
from dicom_node.association.peers import Peer
from dicom_node.operator_error import OperatorError

HOST = "127.0.0.1"
NODE_TITLE = "ICHNODE"
PACS_TITLE = "DEMOPACS"
MODALITY_TITLE = "DEMOCT"

#: Marks a folder that an earlier demonstration made, and this one may therefore replace.
_MARK = ".ichnode-demonstration"

#: How long the node may take to load its models, and to end.
_START_PATIENCE_S = 180.0
_STOP_PATIENCE_S = 30.0

_NODE_TOML = """\
# Written by ichnode demo: a node and a PACS on this machine.
[node]
ae_title = "{node_title}"
host = "{host}"
port = {node_port}
callers = ["{modality_title}"]
data_dir = "{data_dir}"
free_space_floor_mb = 100

[[peers]]
name = "pacs"
ae_title = "{pacs_title}"
host = "{host}"
port = {pacs_port}
receives_results = true

[assembly]
quiet_time_s = 1.0
force_time_s = 20.0
study_quiet_time_s = 1.0
study_limit_s = 5.0

[worker]
# A small network. The node's default one takes ten times as long: too long for a demonstration on
# a slow or busy machine (docs/benchmark/demo_patients.md).
segmentation_bundle = "demo-segmentation"

[web]
port = {web_port}
open_on_loopback = true
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Where the demonstration takes place.

    Attributes
    ----------
    folder : Path
        Everything the demonstration writes lies below it.
    node_port, web_port : int
        Free ports of the loopback address.
    """

    folder: Path
    node_port: int
    web_port: int

    @property
    def config(self) -> Path:
        """Settings of the node."""
        return self.folder / "node.toml"

    @property
    def log(self) -> Path:
        """Log lines of the node."""
        return self.folder / "node.log"

    @property
    def patient(self) -> Path:
        """The simulated patient."""
        return self.folder / "patient"

    @property
    def pacs(self) -> Path:
        """What the PACS was sent."""
        return self.folder / "pacs"

    @property
    def data(self) -> Path:
        """Data directory of the node."""
        return self.folder / "node"

    @property
    def node(self) -> Peer:
        """The node as the modality calls it."""
        return Peer(
            name="node",
            ae_title=NODE_TITLE,
            host=HOST,
            port=self.node_port,
            calling_ae_title=MODALITY_TITLE,
        )

    def write_config(self, *, pacs_port: int) -> None:
        """Write the settings of the node."""
        self.config.write_text(
            _NODE_TOML.format(
                host=HOST,
                node_title=NODE_TITLE,
                node_port=self.node_port,
                modality_title=MODALITY_TITLE,
                data_dir=self.data,
                pacs_title=PACS_TITLE,
                pacs_port=pacs_port,
                web_port=self.web_port,
            ),
            encoding="utf-8",
        )


def build_stage(folder: Path) -> Stage:
    """Return an empty stage; an earlier demonstration in the folder is removed.

    Raises
    ------
    OperatorError
        If the folder holds something that no demonstration made.
    """
    folder = folder.absolute()
    if folder.exists() and not folder.is_dir():
        raise OperatorError(f"{folder} is a file; the demonstration needs a folder")
    if folder.is_dir() and any(folder.iterdir()):
        if not (folder / _MARK).is_file():
            raise OperatorError(
                f"{folder} holds files that no demonstration made; name another --output"
            )
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _MARK).touch()
    node_port, web_port = free_ports(2)
    return Stage(folder=folder, node_port=node_port, web_port=web_port)


def free_ports(count: int) -> list[int]:
    """Return ports of the loopback address that nobody listened on a moment ago."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server((HOST, 0))) for _ in range(count)]
        return [int(each.getsockname()[1]) for each in sockets]


class Pacs:
    """The embedded PACS: an archive that knows what it was sent, and can be waited on."""

    def __init__(self, folder: Path) -> None:
        self._arrived = threading.Condition()
        self._objects: dict[str, ArchivedObject] = {}
        self._scp = ArchiveScp(
            folder, ae_title=PACS_TITLE, host=HOST, port=0, on_stored=self._stored
        )

    def __enter__(self) -> Self:
        self._scp.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._scp.stop()

    @property
    def port(self) -> int:
        """The port that is listened on."""
        return self._scp.port

    @property
    def objects(self) -> tuple[ArchivedObject, ...]:
        """What has arrived, in order of arrival."""
        with self._arrived:
            return tuple(self._objects.values())

    def wait_for(
        self, complete: Callable[[tuple[ArchivedObject, ...]], bool], *, timeout_s: float
    ) -> bool:
        """Return whether everything that `complete` asks for arrived in time."""
        with self._arrived:
            return self._arrived.wait_for(
                lambda: complete(tuple(self._objects.values())), timeout=timeout_s
            )

    def _stored(self, stored: ArchivedObject) -> None:
        with self._arrived:
            self._objects[stored.sop_instance_uid] = stored
            self._arrived.notify_all()


@dataclass(slots=True, eq=False)
class RunningNode:
    """``ichnode serve`` in a process of its own."""

    process: subprocess.Popen[str]
    ready: threading.Event = field(default_factory=threading.Event)

    def listen(self) -> None:
        """Wait for the line that says that the node is ready; runs in a thread."""
        for line in self.process.stdout or ():
            if line.startswith("ready:"):
                self.ready.set()


@contextmanager
def running_node(stage: Stage) -> Iterator[RunningNode]:
    """Run the node with the stage's settings.

    Raises
    ------
    OperatorError
        If it does not become ready; the end of its log is quoted.
    """
    command = [sys.executable, "-m", "dicom_node", "serve", "--config", str(stage.config)]
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("ICHNODE_")
    }
    with stage.log.open("w", encoding="utf-8") as log:
        process = subprocess.Popen(  # noqa: S603  the command is this program's own
            command, stdout=subprocess.PIPE, stderr=log, text=True, env=environment
        )
        node = RunningNode(process)
        threading.Thread(target=node.listen, name="node-output", daemon=True).start()
        try:
            _await_ready(node, stage)
            yield node
        finally:
            _stop(process)


def _await_ready(node: RunningNode, stage: Stage) -> None:
    deadline = time.monotonic() + _START_PATIENCE_S
    while not node.ready.wait(0.1):
        if node.process.poll() is not None or time.monotonic() > deadline:
            raise OperatorError(f"the node did not start\n{end_of(stage.log)}")


def _stop(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(_STOP_PATIENCE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout is not None:
        process.stdout.close()


def end_of(log: Path, *, lines: int = 12) -> str:
    """Return the last lines of a log."""
    text = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return "\n".join(text[-lines:])
