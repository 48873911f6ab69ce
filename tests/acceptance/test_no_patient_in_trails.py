"""Poisoned data sets on the ways around the line: archives, repositories and people's commands.

Storage commitment in both roles, STOW-RS, C-MOVE of earlier scans, audit trail, alerts, the urgent
lane, legal hold, verification, backup and purge; every partner quotes the patient in its answers,
and each step fails once with the patient in its words.
"""

import http.server
import json
import socket
import threading
from contextlib import closing, contextmanager, suppress

import pydicom
import pytest
from acceptance.faulty_node import TRAIL_STEPS
from acceptance.node_process import NodeProcess, wait_until
from acceptance.test_no_patient_in_logs import (
    FAULTY,
    KEPT_VALUES,
    PATIENCE_S,
    TalkativePacs,
    head,
    row_of,
    send_until_taken,
    series_of,
    tellings,
    told_by_database,
)
from poison import MARKER, marked
from pydicom.dataset import Dataset
from pynetdicom import AE, build_role, evt
from query_provider import QueryProvider

from dicom_node.association.commitment import (
    COMMITMENT_INSTANCE,
    STORAGE_COMMITMENT,
    CommitmentReport,
    CommitmentRequest,
    Reference,
    encode_report,
    encode_request,
)

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(1800)]

SETTINGS = """
[follow_up]
first_retry_s = 0.5
longest_wait_s = 1.0

[selection]
contrast_allowed = true

[urgent]
callers = ["MODALITY"]

[log]
level = "DEBUG"

[audit]
enabled = true
port = {audit_port}

[alerts]
webhook_url = "{web}/hook"
pause_s = 1.0
silence = [{{ caller = "NOBODY", hours = 0.0001 }}]

[retention]
enabled = true
analysed_days = 9000.0

[[web_peers]]
name = "vna"
url = "{web}/dicom-web"
receives_results = true

[[peers]]
name = "old"
ae_title = "PACS"
host = "127.0.0.1"
port = {prior_port}
gives_priors = "move"
"""


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

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}", came
        server.shutdown()
        thread.join()


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


def commands(node, study, folder):
    """Run what people run; return what it told them.

    `rules test` is left out: it shows an operator the series' own words, which rules are about.
    """
    told = {}
    for command in (
        ["urgent", study],
        ["hold", study, "--why", "trial"],
        ["unhold", study],
        ["verify"],
        ["verify", "--json"],
        ["backup", str(folder / "copy.sqlite")],
        ["retention", "plan", "--json"],
        ["studies", "list", "--json"],
        ["studies", "show", study],
        ["worklist"],
        ["alerts", "list"],
        ["health", "--json"],
        ["peers", "test", "old"],
        ["config", "history"],
        ["purge", "--study", study, "--yes"],
    ):
        done = node.run(*command)
        told[" ".join(command)] = (done.stdout + done.stderr).encode()
        assert "Traceback" not in done.stderr, command
    return told


def test_no_way_around_the_line_tells_of_a_patient(tmp_path, monkeypatch):
    """What went to the PACS holds the marker; what was told to anybody else does not."""
    monkeypatch.setenv("ICHNODE_FAULTS", str(tmp_path / "faults.txt"))
    monkeypatch.setenv("ICHNODE_FAULTS_OF", "trails")
    (tmp_path / "faults.txt").touch()
    prior = head(tmp_path, 1, day="20260104")
    follow_up = head(tmp_path, 2, radius_mm=18.0)
    study = str(pydicom.dcmread(follow_up[0], stop_before_pixels=True).StudyInstanceUID)
    provider = QueryProvider([pydicom.dcmread(path) for path in prior])
    with (
        provider.listening() as prior_port,
        talkative_web() as (web, came),
        audit_repository() as (audit_port, messages),
    ):
        node = NodeProcess(tmp_path, pacs_port=1)
        pacs = CommittingPacs(node.dicom_port)
        node.program[1] = str(FAULTY)
        node.patience_s = PATIENCE_S
        text = node.config.read_text().replace("port = 1\n", f"port = {pacs.port}\n")
        text = text.replace('"MODALITY"]', '"MODALITY", "PACS"]\nanswers_commitment = true')
        text = text.replace(
            "receives_results = true", "receives_results = true\ncommitment = true"
        )
        text = text.replace(
            "[delivery]\n",
            "[delivery]\nrefusal_first_retry_s = 0.5\nlongest_wait_s = 1.0\n"
            "commitment_answer_s = 3.0\ncommitment_attempts = 900\nfirst_probe_s = 0.5\n",
        )
        text = text.replace("[worker]\n", "[worker]\nattempts = 20\nlongest_wait_s = 0.5\n")
        node.config.write_text(
            text + SETTINGS.format(audit_port=audit_port, web=web, prior_port=prior_port)
        )
        provider.destinations = {"ICHNODE": ("127.0.0.1", node.dicom_port)}
        node.start()
        try:
            send_until_taken(node, follow_up)
            wait_until(lambda: ask_the_node(node, follow_up) == 0, timeout_s=PATIENCE_S)
            wait_until(
                lambda: row_of(node, follow_up)["state"] == "delivered", timeout_s=PATIENCE_S
            )
            wait_until(lambda: row_of(node, prior)["state"] == "delivered", timeout_s=PATIENCE_S)
            wait_until(lambda: came["/hook"], timeout_s=PATIENCE_S)
            wait_until(lambda: len(messages) > 5, timeout_s=PATIENCE_S)
            told = commands(node, study, tmp_path)
            told |= tellings(node, [series_of(paths) for paths in (prior, follow_up)])
        finally:
            code = node.stop()
            pacs.server.shutdown()
    told["log"] = node.log.read_bytes()
    told["audit"] = b"\n".join(messages)
    told["alerts"] = b"\n".join(came["/hook"])
    told["backup"] = KEPT_VALUES.sub(b"", told_by_database(tmp_path / "copy.sqlite").encode())

    assert {where: marked(text) for where, text in told.items() if marked(text)} == {}
    assert code == 0
    assert MARKER.encode() in b"".join(came["/dicom-web/studies"]), "it must have been poisoned"
    assert pacs.asked >= 2
    assert 0 in pacs.reports
    assert set((tmp_path / "faults.txt").read_text().split()) == set(TRAIL_STEPS)
    assert b"Traceback" not in told["log"]
