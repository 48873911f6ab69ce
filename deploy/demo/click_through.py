"""Node, archive and viewer on this machine with one command, for people who want to click.

    python deploy/demo/click_through.py

Simulates patients (axial with a follow-up, tilted gantry, no hematoma), starts Orthanc, the node
and OHIF, gives the scans to Orthanc, which forwards them to the node, and says which addresses to
open once the results are back. Ctrl-C ends everything. All of it listens on this machine alone.

Needs ichnode in this Python, Orthanc with its DICOMweb plug-in (Debian: orthanc,
orthanc-dicomweb), and the viewer's files: npm fetches them, or --viewer names their folder.
"""

import argparse
import contextlib
import json
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from viewer_server import HOST, viewer_server

HERE = Path(__file__).parent
OHIF = "@ohif/app@3.13.2"
ORTHANC_PLUGINS = "/usr/share/orthanc/plugins"
#: Options of the simulator for each patient.
PATIENTS = {
    "axial": ("--slice-thickness", "5", "--tilt", "0", "--follow-up"),
    "tilted": ("--slice-thickness", "5", "--no-follow-up", "--tilt", "18"),
    "none": ("--slice-thickness", "5", "--tilt", "0", "--no-follow-up", "--no-hematoma", "1"),
}
_START_PATIENCE_S = 180.0
_RESULT_PATIENCE_S = 900.0

NODE_TOML = """\
[node]
ae_title = "ICHNODE"
port = {node_port}
callers = ["DEMOPACS"]
data_dir = "{data}"
free_space_floor_mb = 100

[[peers]]
name = "pacs"
ae_title = "DEMOPACS"
host = "127.0.0.1"
port = {dicom_port}
receives_results = true

[assembly]
quiet_time_s = 2.0
study_quiet_time_s = 2.0

[worker]
segmentation_bundle = "demo-segmentation"

[results]
pdf = true
key_objects = true

[web]
port = {web_port}
open_on_loopback = true
viewer_url = "http://127.0.0.1:{viewer_port}/viewer?StudyInstanceUIDs={{study_instance_uid}}"
"""


class DemonstrationError(Exception):
    """Something that the demonstration needs is not there."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Play; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path("demo-output"), help="work folder")
    parser.add_argument("--viewer", type=Path, help="folder with OHIF's index.html")
    parser.add_argument("--port", type=int, default=13000, help="port of the viewer")
    parser.add_argument("--web-port", type=int, default=18180, help="port of the node's pages")
    parser.add_argument(
        "--patients", nargs="*", default=list(PATIENTS), choices=list(PATIENTS), help="which"
    )
    asked = parser.parse_args(arguments)
    try:
        with ExitStack() as running:
            _play(asked, running)
    except DemonstrationError as error:
        sys.stderr.write(f"click_through: {error}\n")
        return 1
    return 0


def _play(asked: argparse.Namespace, running: ExitStack) -> None:
    folder = (asked.folder / "click-through").resolve()
    folder.mkdir(parents=True, exist_ok=True)
    viewer = asked.viewer or _fetch_viewer(folder.parent / "ohif")
    dicom_port, http_port, node_port = (_free_port() for _ in range(3))
    archive = f"http://{HOST}:{http_port}"
    scans = [_simulate(folder, name, seed) for seed, name in enumerate(asked.patients, start=41)]
    running.enter_context(_orthanc(folder, dicom_port, http_port, node_port))
    config = folder / "node.toml"
    config.write_text(
        NODE_TOML.format(
            node_port=node_port,
            dicom_port=dicom_port,
            web_port=asked.web_port,
            viewer_port=asked.port,
            data=folder / "node",
        ),
        encoding="utf-8",
    )
    running.enter_context(_node(config, folder / "node.log", node_port))
    running.enter_context(_viewer(asked.port, viewer, archive))
    for each in scans:
        _ichnode("send", str(each), f"DEMOPACS@{HOST}:{dicom_port}", "--config", str(config))
    studies = _ask(f"{archive}/studies")
    _say(f"{len(studies)} studies in the archive; it forwards them to the node")
    for study in studies:
        _ask(f"{archive}/modalities/ichnode/store", json.dumps(study).encode())
    _await_reports(archive, studies)
    _say(f"\nviewer:      http://{HOST}:{asked.port}/")
    _say(f"node:        http://{HOST}:{asked.web_port}/")
    _say(f"archive:     {archive}/app/explorer.html")
    _say("RESEARCH USE ONLY. Simulated patients, demonstration models. Ctrl-C ends it.")
    _await_interrupt()


def _simulate(folder: Path, name: str, seed: int) -> Path:
    """Write a patient's scans, unless an earlier call has."""
    target = folder / "patients" / name
    if not (target / "cohort.csv").is_file():
        _say(f"simulate a patient: {name}")
        _run(
            [
                *(sys.executable, "-m", "training", "phantom", "--patients", "1"),
                *("--seed", str(seed), "--format", "dicom", "--extra-axial", "0"),
                *("--output", str(target), *PATIENTS[name]),
            ]
        )
        _name(target, name)
    return target


def _name(target: Path, name: str) -> None:
    """Give the patients different numbers: each is the first of his cohort."""
    import pydicom

    for path in sorted(target.rglob("*.dcm")):
        image = pydicom.dcmread(path)
        image.PatientID = f"DEMO-{name.upper()}"
        image.PatientName = f"Demo^{name.capitalize()}"
        image.save_as(path)


def _fetch_viewer(folder: Path) -> Path:
    """Return the viewer's files, fetched by npm once."""
    built = folder / "package" / "dist"
    if not (built / "index.html").is_file():
        npm = shutil.which("npm")
        if npm is None:
            raise DemonstrationError("no npm here; --viewer names a folder with OHIF's files")
        folder.mkdir(parents=True, exist_ok=True)
        _say(f"fetch {OHIF}, 200 MB")
        _run([npm, "pack", OHIF, "--pack-destination", str(folder)])
        with tarfile.open(next(folder.glob("*.tgz"))) as archive:
            archive.extractall(folder, filter="data")
    return built


@contextmanager
def _orthanc(folder: Path, dicom_port: int, http_port: int, node_port: int) -> Iterator[None]:
    program = shutil.which("Orthanc")
    if program is None:
        raise DemonstrationError("no Orthanc here (Debian: orthanc and orthanc-dicomweb)")
    settings = {
        "Name": "Demonstration",
        "StorageDirectory": str(folder / "archive"),
        "IndexDirectory": str(folder / "archive"),
        "HttpPort": http_port,
        "HttpBindAddresses": [HOST],
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "DicomPort": dicom_port,
        "DicomAet": "DEMOPACS",
        "DicomAlwaysAllowStore": True,
        "UnknownSopClassAccepted": True,
        "DefaultEncoding": "Utf8",
        "OverwriteInstances": False,
        "Plugins": [ORTHANC_PLUGINS],
        "DicomModalities": {"ichnode": ["ICHNODE", HOST, node_port]},
        "DicomWeb": {
            "Enable": True,
            "Root": "/dicom-web/",
            "EnableWado": True,
            "WadoRoot": "/wado",
        },
    }
    path = folder / "orthanc.json"
    path.write_text(json.dumps(settings, indent=2), encoding="utf-8")
    with _process([program, str(path)], folder / "orthanc.log"):
        _await_port(http_port, "Orthanc", folder / "orthanc.log")
        yield


@contextmanager
def _node(config: Path, log: Path, port: int) -> Iterator[None]:
    with _process([sys.executable, "-m", "dicom_node", "serve", "--config", str(config)], log):
        _await_port(port, "the node", log)
        yield


@contextmanager
def _viewer(port: int, viewer: Path, archive: str) -> Iterator[None]:
    if not (viewer / "index.html").is_file():
        raise DemonstrationError(f"{viewer} holds no index.html")
    settings = (HERE / "app-config.js").read_bytes()
    try:
        server = viewer_server(port, viewer=viewer, settings=settings, archive=archive)
    except OSError as error:
        raise DemonstrationError(f"port {port} is taken; --port names another one") from error
    with server:
        threading.Thread(target=server.serve_forever, name="viewer", daemon=True).start()
        yield
        server.shutdown()


@contextmanager
def _process(command: list[str], log: Path) -> Iterator[None]:
    with log.open("w", encoding="utf-8") as lines:
        process = subprocess.Popen(  # noqa: S603  programs that this file names
            command, stdout=lines, stderr=subprocess.STDOUT
        )
        try:
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _await_port(port: int, who: str, log: Path) -> None:
    deadline = time.monotonic() + _START_PATIENCE_S
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection((HOST, port), timeout=1):
            _say(f"{who} listens")
            return
        time.sleep(0.2)
    raise DemonstrationError(f"{who} did not start; see {log}")


def _await_reports(archive: str, studies: list[str]) -> None:
    """Wait until each study has a report of the node."""
    deadline = time.monotonic() + _RESULT_PATIENCE_S
    waiting = set(studies)
    while waiting and time.monotonic() < deadline:
        for study in sorted(waiting):
            series = _ask(f"{archive}/studies/{study}/series")
            if any(one["MainDicomTags"].get("Modality") == "SR" for one in series):
                waiting.discard(study)
                _say(f"results are back: {len(studies) - len(waiting)} of {len(studies)}")
        time.sleep(1)
    if waiting:
        raise DemonstrationError(f"no report for {len(waiting)} studies; see node.log")


def _await_interrupt() -> None:
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    ended.wait()


def _ask(address: str, body: bytes | None = None) -> Any:  # noqa: ANN401  JSON
    """Return what the archive answers."""
    with urllib.request.urlopen(address, data=body, timeout=600) as answer:  # noqa: S310  our own
        return json.load(answer)


def _ichnode(*words: str) -> None:
    _run([sys.executable, "-m", "dicom_node", *words])


def _run(command: list[str]) -> None:
    done = subprocess.run(  # noqa: S603  programs that this file names
        command, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise DemonstrationError(f"{' '.join(command[:4])} failed: {done.stderr.strip()[-400:]}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _say(words: str) -> None:
    sys.stdout.write(f"{words}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
