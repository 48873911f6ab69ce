"""Storage SCPs to be timed, each as a process of its own with an empty store."""

import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from certificate_builder import Issued

START_LIMIT_S = 60.0
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Receiver:
    """A storage SCP that runs.

    Attributes
    ----------
    name : str
        As in the table.
    ae_title : str
        To call it by.
    port : int
        On 127.0.0.1.
    pid : int
        Process whose memory and CPU time are read.
    """

    name: str
    ae_title: str
    port: int
    pid: int


@contextmanager
def ichnode(folder: Path) -> Iterator[Receiver]:
    """Run the receiver of this project."""
    with _ichnode(folder, "stream", "ichnode (durable)") as receiver:
        yield receiver


@contextmanager
def ichnode_library(folder: Path) -> Iterator[Receiver]:
    """Run it with pynetdicom's reader."""
    with _ichnode(folder, "library", "ichnode, pynetdicom's reader") as receiver:
        yield receiver


@contextmanager
def _ichnode(folder: Path, reader: str, name: str) -> Iterator[Receiver]:
    port = free_port()
    config = folder / "node.toml"
    data = folder / "data"
    config.write_text(
        f'[node]\nreader = "{reader}"\nport = {port}\ncallers = ["*"]\ndata_dir = "{data}"\n'
        "free_space_floor_mb = 0\n[web]\nenabled = false\n"
    )
    command = [sys.executable, "-m", "dicom_node", "serve", "--only", "receiver"]
    with _process([*command, "--config", str(config)], folder, port) as pid:
        yield Receiver(name=name, ae_title="ICHNODE", port=port, pid=pid)


#: Certificate with key of a receiver, and whom it trusts.
Tls = tuple["Issued", Path]


@contextmanager
def storescp(folder: Path, *, tls: Tls | None = None) -> Iterator[Receiver]:
    """Run dcmtk's storescp, bit preserving; it never syncs."""
    port = free_port()
    store = folder / "store"
    store.mkdir()
    command = ["storescp", "+B", "-od", str(store), "-aet", "STORESCP"]
    if tls is not None:
        issued, trusted = tls
        command += ["+tls", str(issued.key), str(issued.certificate), "+cf", str(trusted)]
    command.append(str(port))
    with _process(command, folder, port) as pid:
        yield Receiver(
            name=_named("dcmtk storescp (not durable)", tls),
            ae_title="STORESCP",
            port=port,
            pid=pid,
        )


@contextmanager
def orthanc(folder: Path, *, tls: Tls | None = None) -> Iterator[Receiver]:
    """Run Orthanc with its defaults; it syncs each file."""
    port = free_port()
    config = folder / "orthanc.json"
    config.write_text(
        json.dumps(
            {
                "StorageDirectory": str(folder / "db"),
                "IndexDirectory": str(folder / "db"),
                "HttpServerEnabled": False,
                "DicomPort": port,
                "DicomAet": "ORTHANC",
                "DicomAlwaysAllowStore": True,
                "Plugins": [],
                **_orthanc_tls(tls),
            }
        )
    )
    with _process([_orthanc_program(), str(config)], folder, port) as pid:
        yield Receiver(
            name=_named("Orthanc (durable)", tls), ae_title="ORTHANC", port=port, pid=pid
        )


def _named(name: str, tls: Tls | None) -> str:
    return name if tls is None else f"{name}, TLS"


def _orthanc_tls(tls: Tls | None) -> dict[str, object]:
    if tls is None:
        return {}
    issued, trusted = tls
    return {
        "DicomTlsEnabled": True,
        "DicomTlsCertificate": str(issued.certificate),
        "DicomTlsPrivateKey": str(issued.key),
        "DicomTlsTrustedCertificates": str(trusted),
    }


def available() -> dict[str, object]:
    """Return the receivers that can run here, by name of their function."""
    found: dict[str, object] = {"ichnode": ichnode, "library": ichnode_library}
    if shutil.which("storescp"):
        found["storescp"] = storescp
    if _orthanc_program():
        found["orthanc"] = orthanc
    return found


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _orthanc_program() -> str:
    return shutil.which("Orthanc") or shutil.which("Orthanc", path="/usr/sbin") or ""


@contextmanager
def _process(command: list[str], folder: Path, port: int) -> Iterator[int]:
    environment = {
        "PATH": "/usr/bin:/bin:/usr/sbin",
        "PYTHONPATH": str(ROOT),
        "TCP_NODELAY": "1",
        "HOME": str(folder),
    }
    with (folder / "log.txt").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL
        )
        try:
            _wait_for(port, process, folder)
            yield process.pid
        finally:
            process.terminate()
            process.wait(timeout=30)


def _wait_for(port: int, process: subprocess.Popen[bytes], folder: Path) -> None:
    limit = time.monotonic() + START_LIMIT_S
    while time.monotonic() < limit and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError(
        f"{process.args} does not listen: {(folder / 'log.txt').read_text()[-800:]}"
    )
