"""Data sets with a marker in every element go every way there is, and through a fault at each.

The marker may be in what goes back to the PACS and in images in custody. Of the series' own words
(description, protocol, kernel, scanner) the ledger and the records keep a few; of those, too, the
log shows nothing.
"""

import re
import sqlite3
from contextlib import closing
from io import BytesIO
from pathlib import Path
from urllib.error import HTTPError

import pydicom
import pytest
from acceptance.faulty_node import STEPS
from acceptance.many_commands import run_all, run_program
from acceptance.node_process import NodeProcess, wait_until
from ct_builder import Ball, build_ct_series
from poison import MARKER, marked, poisoned
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from pynetdicom import AE, evt
from pynetdicom.dimse_primitives import C_STORE
from query_provider import QueryProvider

from dicom_node.association.file_format import split_file
from dicom_node.association.presentation import PROPOSED

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(1800)]

PATIENCE_S = 400
FAULTY = Path(__file__).with_name("faulty_node.py")

#: UIDs are what logs tell of an image; the times put two scans in order; the watch tells of which
#: scanner the images are.
SPARED = frozenset(
    {"SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID"}
    | {"Manufacturer", "ManufacturerModelName", "ConvolutionKernel"}
    | {f"{what}{unit}" for what in ("Study", "Acquisition") for unit in ("Date", "Time")}
)

#: Where patients' data are meant to be.
_CUSTODY = {"spool", "outbox"}

#: What the ledger and the records keep of a series, to choose it and to know its scanner.
_KEPT = (
    *("body_part", "contrast_agent", "description", "image_type", "kernel", "manufacturer"),
    *("model_name", "priority", "protocol", "station", "study"),
)
KEPT_VALUES = re.compile(f'"({"|".join(_KEPT)})": "[^"]*"'.encode())


class TalkativePacs:
    """Keeps results; refuses the first ones and names the patient in its answer."""

    def __init__(self, refusals=2):
        self.got = []
        self.refusals = refusals
        entity = AE(ae_title="PACS")
        for context in PROPOSED:
            entity.add_supported_context(context.sop_class_uid, list(context.transfer_syntaxes))
        self.server = entity.start_server(
            ("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, self._store)]
        )
        self.port = self.server.server_address[1]

    def _store(self, event):
        if self.refusals:
            self.refusals -= 1
            answer = Dataset()
            answer.Status = 0xC000
            answer.ErrorComment = f"{MARKER} is merged"
            return answer
        self.got.append(event.dataset)
        return 0x0000


def head(folder, number, *, day="20260105", radius_mm=15.0, rows=64, slices=16):
    """Write a poisoned head CT in a study of its own; return its files."""
    series = build_ct_series(
        slices=slices,
        shape_yx=(64, 64),
        spacing_mm=6.0,
        balls=(Ball(radius_mm=radius_mm),),
        noise_hu=3.0,
        seed=number,
        study_uid=f"1.2.826.0.1.3680043.8.498.66{number}",
    )
    place = folder / f"scan{number}"
    place.mkdir()
    paths = []
    for index, image in enumerate(series):
        image.AcquisitionDate = image.StudyDate = day
        image.AcquisitionTime = image.StudyTime = "080000"
        image.Rows = rows
        paths.append(place / f"{index:02d}.dcm")
        paths[-1].write_bytes(poisoned(image, spared=SPARED))
    return paths


@pytest.fixture
def pacs():
    pacs = TalkativePacs()
    yield pacs
    pacs.server.shutdown()


@pytest.fixture
def node(tmp_path, pacs, monkeypatch):
    """Return a node that is not started, at its most talkative and with a fault at each step."""
    monkeypatch.setenv("ICHNODE_FAULTS", str(tmp_path / "faults.txt"))
    (tmp_path / "faults.txt").touch()
    node = NodeProcess(tmp_path, pacs_port=pacs.port)
    node.program[1] = str(FAULTY)
    node.patience_s = PATIENCE_S
    text = node.config.read_text().replace("lease_s = 3.0", "lease_s = 60.0")
    for section, lines in {
        "worker": "attempts = 20\nlongest_wait_s = 0.5",
        "delivery": "refusal_first_retry_s = 0.5\nlongest_wait_s = 1.0",
        "web": "enabled = true",
    }.items():
        text = text.replace(f"[{section}]\n", f"[{section}]\n{lines}\n")
    text += (
        '\n[log]\nlevel = "DEBUG"\n\n[selection]\ncontrast_allowed = true\n'
        "\n[results]\nsay_not_processed = true\n"
        "\n[follow_up]\nfirst_retry_s = 0.5\nlongest_wait_s = 1.0\n"
    )
    node.config.write_text(text)
    yield node
    if node.process is not None and node.process.poll() is None:
        node.stop()


def send_until_taken(node, paths):
    """Send again what a fault has refused, as modalities do."""

    def taken():
        try:
            return node.send(paths)
        except Exception:  # noqa: BLE001 - the association may be refused, too
            return False

    wait_until(taken, timeout_s=PATIENCE_S)


def told_by_database(path):
    """Return every value of every table of a SQLite file."""
    with closing(sqlite3.connect(path)) as ledger:
        names = [
            name for (name,) in ledger.execute("SELECT name FROM sqlite_master WHERE type='table'")
        ]
        return repr([ledger.execute(f"SELECT * FROM {name}").fetchall() for name in names])  # noqa: S608 - names from the file itself


def asked(node, page):
    """Return a page, and before it what is said while it fails."""
    try:
        return node.get(page)
    except HTTPError as error:
        return error.read().decode() + node.get(page)


def tellings(node, series_uids):
    """Return everything the node tells anybody but the PACS, by where it tells it."""
    told = {"log": node.log.read_bytes()}
    pages = ["/", "/status.json", "/watch", "/metrics", "/health", "/ready"]
    for page in [*pages, *(f"/series/{uid}" for uid in series_uids)]:
        told[page] = asked(node, page).encode()
    commands = ("status", "status --json", "watch --json", "deliveries list")
    told |= run_all(node, [command.split() for command in commands])
    data = node.folder / "data"
    ledger = told_by_database(data / "ledger.sqlite").encode()
    assert KEPT_VALUES.search(ledger), "the search itself must work"
    told["ledger"] = KEPT_VALUES.sub(b"", ledger)
    for path in data.rglob("*"):
        place = path.relative_to(data)
        is_ledger = path.name.startswith("ledger.sqlite")  # whose values are looked at above
        if path.is_file() and place.parts[0] not in _CUSTODY and not is_ledger:
            told[str(place)] = KEPT_VALUES.sub(b"", path.read_bytes())
        told[f"name of {place}"] = str(place).encode()
    return told


def send_garbage(node, data_sets):
    """Send bytes as data sets; return the answers."""
    entity = AE(ae_title="MODALITY")
    entity.add_requested_context(CTImageStorage, ExplicitVRLittleEndian)
    association = entity.associate("127.0.0.1", node.dicom_port, ae_title="ICHNODE")
    assert association.is_established
    association._reactor_checkpoint.clear()  # as pynetdicom does while it waits for an answer
    answers = []
    for number, data_set in enumerate(data_sets):
        request = C_STORE()
        request.MessageID = number + 1
        request.AffectedSOPClassUID = CTImageStorage
        request.AffectedSOPInstanceUID = f"1.2.3.{number}"
        request.Priority = 2
        request.DataSet = BytesIO(data_set)
        association.dimse.send_msg(request, association.accepted_contexts[0].context_id)
        _, answer = association.dimse.get_msg(block=True)
        answers.append(answer.Status)
    association._reactor_checkpoint.set()
    association.release()
    return answers


def series_of(paths):
    return pydicom.dcmread(paths[0], stop_before_pixels=True).SeriesInstanceUID


def row_of(node, paths):
    rows = {row["series_instance_uid"]: row for row in node.rows()}
    return rows.get(series_of(paths), {"state": "", "comparison": None})


def ends(node, paths, *states):
    wait_until(lambda: row_of(node, paths)["state"] in states, timeout_s=PATIENCE_S)


def test_no_way_through_the_node_tells_of_a_patient(node, pacs, tmp_path):
    """Received, refused, rejected, analysed, compared, fetched, delivered, shown and exported."""
    prior = head(tmp_path, 1, day="20260104")
    follow_up = head(tmp_path, 2, radius_mm=18.0)
    without_middle = head(tmp_path, 3)
    without_middle = without_middle[:5] + without_middle[11:]
    without_pixels = head(tmp_path, 4, rows=63)
    _, start = split_file(follow_up[0].read_bytes())
    data_set = follow_up[0].read_bytes()[start:]
    provider = QueryProvider([pydicom.dcmread(path) for path in prior])
    with provider.listening() as port:
        peer = '[[peers]]\nname = "old"\nae_title = "PACS"\nhost = "127.0.0.1"\n'
        node.config.write_text(
            f'{node.config.read_text()}\n{peer}port = {port}\ngives_priors = "get"\n'
        )
        node.start()
        send_until_taken(node, follow_up)
        refused = send_garbage(node, [data_set, data_set[:-2000], data_set[1:], MARKER.encode()])
        send_until_taken(node, without_middle)
        send_until_taken(node, without_pixels)
        ends(node, follow_up, "delivered")
        ends(node, without_middle, "rejected", "delivered")
        ends(node, without_pixels, "rejected", "delivered", "failed")
        wait_until(
            lambda: (row_of(node, follow_up)["comparison"] or {}).get("state") == "delivered",
            timeout_s=PATIENCE_S,
        )
    told = tellings(node, [series_of(paths) for paths in (prior, follow_up, without_middle)])
    exported = run_program(node, "export-cohort", "--output", str(tmp_path / "export"))
    told["export-cohort"] = (exported.stdout + exported.stderr).encode()
    for path in (tmp_path / "export").rglob("*"):
        told[f"export/{path.name}"] = path.name.encode()
        if path.is_file():
            told[f"export/{path.name}"] += path.read_bytes()
    assert node.stop() == 0
    told["log"] = node.log.read_bytes()

    assert {where: marked(text) for where, text in told.items() if marked(text)} == {}
    assert all(refused), refused
    assert exported.returncode == 0, exported.stderr
    assert MARKER in str(pacs.got[0].PatientName), "what went through must have been poisoned"
    faults = (tmp_path / "faults.txt").read_text().split()
    assert set(faults) == set(STEPS)
    assert told["log"].count(b"RuntimeError") >= len(STEPS) // 2
    assert b"Traceback" not in told["log"]
