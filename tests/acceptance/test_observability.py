"""A series through the node as processes: metrics, probes, log, alerts and audit see it."""

import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from xml.etree import ElementTree as ET

import pydicom
import pytest
from acceptance.conftest import Archive, head_series
from acceptance.node_process import NodeProcess, wait_until
from ct_builder import POISON_NAME
from prometheus_client.parser import text_string_to_metric_families
from served import served

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(300)]

_SETTINGS = """
[alerts]
webhook_url = "http://127.0.0.1:{hook_port}/"

[audit]
enabled = true
port = {audit_port}

[log]
format = "json"
"""


class Repository:
    """A syslog repository: keeps the XML of every datagram."""

    def __init__(self):
        self.link = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.link.bind(("127.0.0.1", 0))
        self.port = self.link.getsockname()[1]
        self.datagrams = []
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self):
        while True:
            try:
                self.datagrams.append(self.link.recv(65536))
            except OSError:
                return

    def of(self, event):
        """Return the messages of one event."""
        found = [ET.fromstring(one.partition(b"\xef\xbb\xbf")[2]) for one in self.datagrams]  # noqa: S314 - our own node's
        return [one for one in found if one.find(".//EventID").get("csd-code") == event]


@pytest.fixture
def repository():
    repository = Repository()
    yield repository
    repository.link.close()


@pytest.fixture
def hook():
    """Return a web server that keeps what is posted to it."""

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self):
            came.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    came = []
    server = HTTPServer(("127.0.0.1", 0), Hook)
    server.came = came
    with served(server):
        yield server


@pytest.fixture
def node(tmp_path, repository, hook):
    archive = Archive(tmp_path / "pacs")
    archive.scp.start()
    node = NodeProcess(tmp_path, pacs_port=archive.scp.port)
    with node.config.open("a") as config:
        config.write(_SETTINGS.format(hook_port=hook.server_port, audit_port=repository.port))
    node.patience_s = 200
    node.start()
    yield node
    node.stop()
    archive.scp.stop()


def samples(node):
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(node.get("/metrics"))
        for sample in family.samples
    }


def test_a_series_is_seen_by_every_observer(node, repository, hook, tmp_path):
    """From C-STORE to delivery by one trace, counted once, audited on both sides, nobody named."""
    files = head_series(tmp_path / "ct", seed=11)
    source = pydicom.dcmread(files[0])
    assert node.send(files)
    wait_until(lambda: [row["state"] for row in node.rows()] == ["delivered"])

    found = wait_until(
        lambda: (s := samples(node)).get(("ichnode_associations_total", "accepted", "")) and s
    )
    assert found["ichnode_instances_received_total", "stored"] == len(files)
    assert found["ichnode_door_to_result_seconds_count",] == 1
    assert found["ichnode_delivery_attempts_total", "pacs", "accepted"] == 5
    assert found["ichnode_step_seconds_count", "analysis", "segment"] == 1
    assert found["ichnode_jobs", "analysis", "delivered"] == 1
    assert found["ichnode_ready",] == 1
    assert json.loads(node.get("/ready"))["ready"] is True
    assert json.loads(node.get("/health"))["alive"] is True
    assert node.run("health").returncode == 0

    wait_until(lambda: len(repository.of("110104")) == 2, timeout_s=60)
    received, sent = repository.of("110104")
    assert [one.get("UserID") for one in received.iter("ActiveParticipant")] == [
        "MODALITY",
        "ICHNODE",
    ]
    assert [one.get("UserID") for one in sent.iter("ActiveParticipant")] == ["ICHNODE", "PACS"]
    starts = {one.find("ActiveParticipant").get("UserID") for one in repository.of("110100")}
    assert starts == {"receiver", "worker-0", "office"}

    assert node.run("alerts", "test").returncode == 0
    assert hook.came[0]["alerts"][0]["key"] == "test"

    lines = [json.loads(line) for line in node.log.read_text().splitlines()]
    traced = {}
    for line in lines:
        traced.setdefault(line.get("trace_id"), set()).add(line["process"])
    (trace,) = [one for one in traced if one is not None]
    assert len(trace) == 32
    assert traced[trace] >= {"worker", "office"}

    told = node.log.read_text() + node.get("/metrics") + json.dumps(hook.came)
    told += "".join(one.decode() for one in repository.datagrams)
    for secret in (POISON_NAME, str(source.PatientID)):
        assert secret not in told
