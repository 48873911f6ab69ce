"""Partners around the node that quote a patient in whatever they say: archive, servers, peers."""

import http.server
import io
import json
import socket
import threading
import urllib.request
import zipfile
from contextlib import closing, contextmanager, suppress

import pydicom
from acceptance.test_no_patient_in_logs import TalkativePacs
from poison import DAY_MARKER, MARKER
from pydicom.dataset import Dataset
from pynetdicom import AE, build_role, evt
from served import served
from ups_server import WORDS, UpsServer, code, element, workitem

from dicom_node.association.commitment import (
    COMMITMENT_INSTANCE,
    STORAGE_COMMITMENT,
    encode_report,
    encode_request,
)
from dicom_node.association.commitment_terms import CommitmentReport, CommitmentRequest, Reference

CT = "1.2.840.10008.5.1.4.1.1.2"


def poisoned_report(report):
    """Return a report of storage commitment with a patient in it."""
    encoded = encode_report(report)
    encoded.PatientName = encoded.PatientID = MARKER
    encoded.RetrieveAETitle = MARKER
    return encoded


class CommittingPacs(TalkativePacs):
    """Refuses once with a patient's name, then commits itself over an association of its own."""

    def __init__(self, node_port):
        self.refused = False
        self.reports = []
        self.node_port = node_port
        self.asked = 0
        super().__init__()
        # A context is offered to associations from now on.
        self.server.contexts = [*self.server.contexts, *self._commitment_contexts()]
        self.server.bind(evt.EVT_N_ACTION, self._asked)

    @staticmethod
    def _commitment_contexts():
        entity = AE()
        entity.add_supported_context(STORAGE_COMMITMENT)
        return entity.supported_contexts

    def _asked(self, event):
        self.asked += 1
        if not self.refused:
            self.refused = True
            answer = Dataset()
            answer.Status = 0x0110
            answer.ErrorComment = f"{MARKER} is locked"
            return answer, None
        threading.Thread(target=self._report, args=(event.action_information,)).start()
        return 0x0000, None

    def _report(self, asked):
        references = tuple(
            Reference(
                sop_class_uid=item.ReferencedSOPClassUID,
                sop_instance_uid=item.ReferencedSOPInstanceUID,
            )
            for item in asked.ReferencedSOPSequence
        )
        report = CommitmentReport(
            transaction_uid=asked.TransactionUID, committed=references, failed=()
        )
        entity = AE(ae_title="PACS")
        entity.add_requested_context(STORAGE_COMMITMENT)
        for _ in range(20):
            association = entity.associate(
                "127.0.0.1",
                self.node_port,
                ae_title="ICHNODE",
                ext_neg=[build_role(STORAGE_COMMITMENT, scp_role=True)],
            )
            if association.is_established:
                with suppress(RuntimeError, ValueError):
                    status, _ = association.send_n_event_report(
                        poisoned_report(report), 1, STORAGE_COMMITMENT, COMMITMENT_INSTANCE
                    )
                    self.reports.append(status.get("Status"))
                association.release()
                if self.reports and self.reports[-1] == 0:
                    return
            threading.Event().wait(0.5)


@contextmanager
def talkative_web():
    """Serve STOW-RS and a webhook that quote patients in every way HTTP has; yields what came."""
    came = {"/hook": [], "/dicom-web/studies": []}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            came[self.path].append(body)
            is_first = len(came[self.path]) < 3
            told = {"00100010": {"vr": "PN", "Value": [{"Alphabetic": MARKER}]}}
            if is_first:
                told["00081198"] = {"vr": "SQ", "Value": [{"00081155": {"Value": [MARKER]}}]}
            answer = json.dumps(told).encode()
            self.send_response(500 if is_first else 200, MARKER)
            self.send_header("Warning", f'299 {MARKER} "{MARKER}"')
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        do_GET = do_POST  # noqa: N815 - the name is the library's

        def log_message(self, *_):
            """Keep quiet."""

    with served(http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as server:
        yield f"http://127.0.0.1:{server.server_address[1]}", came


@contextmanager
def audit_repository():
    """Collect what is sent to a port by UDP."""
    messages = []
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as link:
        link.bind(("127.0.0.1", 0))
        link.settimeout(0.2)
        over = threading.Event()

        def listen():
            while not over.is_set():
                with suppress(TimeoutError):
                    messages.append(link.recv(65535))

        thread = threading.Thread(target=listen, daemon=True)
        thread.start()
        yield link.getsockname()[1], messages
        over.set()
        thread.join()


def ask_the_node(node, paths):
    """Ask the node for storage commitment, with a patient in the request; return the status."""
    images = [pydicom.dcmread(path, stop_before_pixels=True) for path in paths]
    known = tuple(
        Reference(sop_class_uid=one.SOPClassUID, sop_instance_uid=one.SOPInstanceUID)
        for one in images
    )
    asked = encode_request(CommitmentRequest(transaction_uid="1.2.3.66", references=known))
    asked.PatientName = MARKER
    entity = AE(ae_title="MODALITY")
    entity.add_requested_context(STORAGE_COMMITMENT)
    association = entity.associate("127.0.0.1", node.dicom_port, ae_title="ICHNODE")
    status, _ = association.send_n_action(asked, 1, STORAGE_COMMITMENT, COMMITMENT_INSTANCE)
    association.release()
    return status.get("Status")


@contextmanager
def talkative_worklist(monkeypatch):
    """Serve a worklist that loses an answer and names a patient in each refusal; yields it."""
    server = UpsServer()
    server.drop = {"state"}
    monkeypatch.setattr("ups_server.WORDS", dict.fromkeys(WORDS, f"{MARKER} is merged"))
    with server.listening() as port:
        server.port = port
        yield server


def order(server, uid, paths):
    """Put a series on a worklist server and a workitem about it, with a patient all over it."""
    source = pydicom.dcmread(paths[0], stop_before_pixels=True)
    study, series = source.StudyInstanceUID, source.SeriesInstanceUID
    server.images[(study, series)] = [path.read_bytes() for path in paths]
    changes = {
        "t00100010": element("PN", {"Alphabetic": MARKER}),
        "t00100020": element("LO", MARKER),
        "t00100030": element("DA", DAY_MARKER),
        "t00380010": element("LO", MARKER),
        "t00404018": element("SQ", code("ICH-CT")),
        "t00741202": element("LO", MARKER),
    }
    server.add(workitem(uid, study=study, series=[(series, CT)], **changes))


class Program:
    """Somebody's program, which uploads and pulls through the pages."""

    def __init__(self, node):
        self.node = node
        made = node.run("users", "token", "add", "scripts", "--role", "operator")
        self.token = max(made.stdout.split(), key=len)

    def upload(self, paths):
        """Upload images and what is none in an archive whose names are a patient's."""
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for number, path in enumerate(paths):
                archive.writestr(f"{MARKER}/{number}.dcm", path.read_bytes())
            archive.writestr(f"{MARKER}.txt", MARKER)
            archive.writestr(f"../{MARKER}.dcm", paths[0].read_bytes())
            archive.writestr(f"{MARKER}/short.dcm", paths[0].read_bytes()[:-300])
        return self._post(f"/api/v1/uploads?name={MARKER}.zip", buffer.getvalue())

    def pull(self, peer, **wish):
        """Begin to pull a study."""
        return self._post(
            "/api/v1/pulls", json.dumps({"peer": peer, "by": "get", **wish}).encode()
        )

    def runs(self):
        """Return the runs so far."""
        return self._ask("/api/v1/runs")["runs"]

    def _post(self, path, body):
        return self._ask(path, body, **{"Content-Type": "application/json"})

    def _ask(self, path, body=None, **headers):
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.node.web_port}{path}",
            data=body,
            headers={"Authorization": f"Bearer {self.token}", **headers},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 - loopback
            return json.loads(answer.read())
