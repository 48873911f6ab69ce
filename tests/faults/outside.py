"""What lies around the node: archives, and a PACS that has an earlier scan.

Everything that is accepted is a line in a file, written in one go before the node is told of it.
"""

import hashlib
import http.server
import json
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from faults.invariants import instance_digest
from node_builders import encoded
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from dicom_node.association.commitment_terms import CommitmentReport, CommitmentRequest, Reference
from dicom_node.association.peers import Peer
from dicom_node.association.query import RemoteSeries
from dicom_node.association.retrieve import Retrieval
from dicom_node.association.storage_scu import OutgoingFile, SendKind, SendOutcome
from dicom_node.association.store_request import Intake, Sender, StoreRequest
from dicom_node.delivery.carrier import Manners

HOST = "127.0.0.1"

#: Destinations by name: one is spoken to by C-STORE and commits itself, one by STOW-RS.
ARCHIVE, WEB_ARCHIVE = "archive", "vna"

#: Who gives earlier scans.
PACS = Peer(name="pacs", ae_title="PACS", host=HOST, port=104, calling_ae_title="ICHNODE")

_PROCESSING_FAILURE = 0x0110
_BOUNDARY = b"boundary="

#: Passes a moment that lies outside of the node (`faults.points.Moments.reach`).
Reach = Callable[[str], bool]


def append(path: Path, **entry: object) -> None:
    """Write a JSON line that a kill cannot tear."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(descriptor, json.dumps(entry).encode() + b"\n")
    os.close(descriptor)


def lines_of(path: Path) -> list[dict]:
    """Return what was written, nothing if nothing was."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


class FileCarrier:
    """The way to an archive that is a file of JSON lines, and commits itself."""

    manners = Manners(commitment=True)

    def __init__(self, log: Path, reach: Reach) -> None:
        self._log = log
        self._reach = reach

    def send(
        self,
        files: Sequence[OutgoingFile],
        *,
        on_outcome: Callable[[SendOutcome], None],
        on_progress: Callable[[], None],
    ) -> None:
        """Append each file to the archive, and tell."""
        del on_progress
        for file in files:
            digest = hashlib.sha256(file.path.read_bytes()).hexdigest()
            append(self._log, uid=file.sop_instance_uid, digest=digest, at=ARCHIVE)
            self._reach("archived, not yet told")
            on_outcome(SendOutcome(file=file, kind=SendKind.ACCEPTED, status=0, message="Success"))

    def probe(self) -> None:
        """Return: a file can be reached."""

    def rest(self) -> None:
        """Keep nothing open."""

    def close(self) -> None:
        """Keep nothing open."""


class Notarial:
    """The archive's storage commitment.

    It loses the answer to its very first request, and tells it only when it was asked again; it
    answers everything twice, the newest first; and it disowns the last object of its second
    request once, so that this one is sent again.
    """

    def __init__(self, folder: Path, reach: Reach) -> None:
        self._asked = folder / "asked"
        self._archive = folder / ARCHIVE
        self._reach = reach

    def ask(
        self,
        peer: Peer,
        request: CommitmentRequest,
        *,
        on_report: Callable[[CommitmentReport], None],
        wait_s: float,
    ) -> None:
        """Take a request; its report comes over another association."""
        del peer, on_report, wait_s
        references = [[one.sop_class_uid, one.sop_instance_uid] for one in request.references]
        append(self._asked, transaction=request.transaction_uid, references=references)
        self._reach("asked, not yet told")

    def reports(self) -> Iterator[CommitmentReport]:
        """Yield what the archive reports now, and again."""
        asked = lines_of(self._asked)
        for number, entry in reversed(list(enumerate(asked))):
            if number == 0 and len(asked) == 1:
                continue
            yield from [self._report(number, entry)] * 2

    def _report(self, number: int, entry: dict) -> CommitmentReport:
        references = [
            Reference(sop_class_uid=kind, sop_instance_uid=uid)
            for kind, uid in entry["references"]
        ]
        disowned = references[-1:] if number == 1 else []
        uids = [one["uid"] for one in lines_of(self._archive)]
        disowned = [one for one in disowned if uids.count(one.sop_instance_uid) == 1]
        return CommitmentReport(
            transaction_uid=entry["transaction"],
            committed=tuple(one for one in references if one not in disowned),
            failed=tuple((one, _PROCESSING_FAILURE) for one in disowned),
        )


class EarlierScans:
    """A PACS that has one earlier scan; as by C-GET, it comes over the asker's association."""

    def __init__(self, images: Sequence[Dataset], *, custody: Intake, log: Path, now) -> None:
        self._images = images
        self._custody = custody
        self._log = log
        self._now = now

    def find(self, peer, query, *, stop) -> tuple[RemoteSeries, ...]:
        """Return the one series, whoever is asked for what."""
        del peer, query, stop
        first = self._images[0]
        return (
            RemoteSeries(
                study_instance_uid=str(first.StudyInstanceUID),
                series_instance_uid=str(first.SeriesInstanceUID),
                study_date="20260104",
                study_time="080000",
                description="Head",
                instances=len(self._images),
            ),
        )

    def fetch(self, series: Sequence[RemoteSeries], *, stop) -> tuple[Retrieval, ...]:
        """Hand over every image."""
        del stop
        hand_over(self._images, custody=self._custody, log=self._log, now=self._now())
        number = len(self._images)
        return tuple(
            Retrieval(series=one, completed=number, failed=0, status=0, message="")
            for one in series
        )


def hand_over(images: Sequence[Dataset], *, custody: Intake, log: Path, now: datetime) -> None:
    """Put images into custody over the asker's association; note what was taken."""
    sender = Sender(
        association_id=os.urandom(8).hex(),
        calling_ae_title=PACS.ae_title,
        called_ae_title="ICHNODE",
        address=HOST,
        opened_at=now,
    )
    for ds in images:
        content = encoded(ds)
        custody.accept(
            StoreRequest(
                sender=sender,
                sop_class_uid=str(ds.SOPClassUID),
                sop_instance_uid=str(ds.SOPInstanceUID),
                transfer_syntax_uid=str(ExplicitVRLittleEndian),
                data_set=content,
                received_at=now,
            )
        )
        digest = instance_digest(str(ExplicitVRLittleEndian), content)
        append(log, uid=str(ds.SOPInstanceUID), digest=digest)
    custody.association_closed(sender, now)


@contextmanager
def web_archive(log: Path, reach: Reach) -> Iterator[int]:
    """Serve STOW-RS (PS3.18, section 10.5) in a thread of this process; yields the port.

    It is killed together with the process: what it stored, it may not have answered.
    """

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            mark = self.headers["Content-Type"].encode().partition(_BOUNDARY)[2].strip(b'"')
            stored = []
            for part in body.split(b"--" + mark)[1:-1]:
                content = part.partition(b"\r\n\r\n")[2][:-2]
                kind, uid = _named(content)
                append(log, uid=uid, digest=hashlib.sha256(content).hexdigest(), at=WEB_ARCHIVE)
                stored.append({"00081150": _uid(kind), "00081155": _uid(uid)})
            reach("stored, not yet answered")
            answer = json.dumps({"00081199": {"vr": "SQ", "Value": stored}}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/dicom+json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            pass

    server = _SilentServer((HOST, 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


class _SilentServer(http.server.ThreadingHTTPServer):
    """Says nothing of a client that is gone."""

    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        pass


def _named(file: bytes) -> tuple[str, str]:
    """Return class and instance that the file meta information names (PS3.10, table 7.1-1)."""
    return _meta(file, b"\x02\x00\x02\x00UI"), _meta(file, b"\x02\x00\x03\x00UI")


def _meta(file: bytes, element: bytes) -> str:
    at = file.index(element) + len(element)
    length = int.from_bytes(file[at : at + 2], "little")
    return file[at + 2 : at + 2 + length].rstrip(b"\0").decode("ascii")


def _uid(value: str) -> dict:
    return {"vr": "UI", "Value": [value]}
