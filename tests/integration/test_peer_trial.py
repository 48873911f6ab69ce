"""A trial of a peer says how far it came, and what the other side must change."""

import socket
import socketserver
import threading
from contextlib import contextmanager

import pytest
from certificate_builder import Authority
from node_builders import Clock
from pynetdicom import AE

from dicom_node.association.callers import Caller
from dicom_node.association.peer_trial import try_peer
from dicom_node.association.peers import Peer
from dicom_node.association.scp_settings import ScpSettings
from dicom_node.association.storage_scp import StorageScp
from dicom_node.association.tls import ClientTls, ServerTls, TlsFiles

HOST = "127.0.0.1"
SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.4"
VERIFICATION = "1.2.840.10008.1.1"


@contextmanager
def pacs(*, classes, callers=(), title="PACS"):
    """Run an archive of pynetdicom that takes these classes; yields its port."""
    entity = AE(ae_title=title)
    for one in classes:
        entity.add_supported_context(one)
    entity.require_calling_aet = list(callers)
    entity.require_called_aet = True
    server = entity.start_server((HOST, 0), block=False)
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()


def peer(port, **options):
    values = {"name": "pacs", "ae_title": "PACS", "host": HOST, "port": port}
    return Peer(**{**values, "calling_ae_title": "ICHNODE", **options})


def told(steps):
    return [(step.name, step.ok) for step in steps]


def test_a_peer_that_refuses_a_class_is_told_which():
    """Everything else is well; the sentence names class and both titles."""
    with pacs(classes=[VERIFICATION, SEGMENTATION]) as port:
        steps = try_peer(peer(port))

    assert told(steps)[:3] == [("connection", True), ("association", True), ("C-ECHO", True)]
    by_name = {step.name: step for step in steps}
    assert by_name["Segmentation Storage"].ok
    assert "Explicit VR Little Endian" in by_name["Segmentation Storage"].found
    report = by_name["Comprehensive 3D SR Storage"]
    assert not report.ok
    assert "not supported" in report.found
    assert "let PACS store" in report.advice
    assert "from ICHNODE" in report.advice


def test_a_peer_that_takes_no_results_is_asked_for_none():
    """A source of earlier scans needs no storage."""
    with pacs(classes=[VERIFICATION]) as port:
        steps = try_peer(peer(port), results=False)

    assert told(steps) == [("connection", True), ("association", True), ("C-ECHO", True)]


def test_an_unknown_caller_learns_what_to_have_entered():
    """The title and address with which the node calls."""
    with pacs(classes=[VERIFICATION], callers=["OTHER"]) as port:
        *_, last = try_peer(peer(port))

    assert (last.name, last.ok) == ("association", False)
    assert last.advice == "enter AE title ICHNODE at 127.0.0.1 at pacs as an allowed sender"


def test_a_wrong_title_is_told_apart_from_a_wrong_caller():
    """The fault is on this side then."""
    with pacs(classes=[VERIFICATION], title="ARCHIVE") as port:
        *_, last = try_peer(peer(port))

    assert "does not answer to PACS" in last.advice


def test_nobody_at_the_port_ends_the_trial():
    """Nothing is tried that cannot come about."""
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]

    (step,) = try_peer(peer(port))

    assert (step.name, step.ok) == ("connection", False)
    assert "refuses connections" in step.found
    assert "DICOM service" in step.advice


def test_a_name_that_nobody_knows_is_said(monkeypatch):
    """Before a firewall is suspected."""

    def unknown(*_, **__):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "create_connection", unknown)

    (step,) = try_peer(peer(104, host="pacs.hospital.example"))

    assert "nobody knows the name" in step.found


@contextmanager
def listener(files):
    """Run the node's own listener, plain and with TLS; yields both ports."""
    settings = ScpSettings(
        ae_title="PACS",
        host=HOST,
        port=0,
        callers=(Caller(ae_title=None),),
        tls=ServerTls(files=files),
        tls_port=0,
    )
    scp = StorageScp(settings=settings, intake=None, clock=Clock())
    scp.start()
    try:
        yield scp.port, scp.tls_port
    finally:
        scp.stop()


def files_of(authority, name, *, believes=None):
    issued = authority.issue(name)
    trusted = (believes or authority).certificate
    return TlsFiles(certificate=issued.certificate, key=issued.key, trusted=trusted)


@pytest.mark.parametrize("callers", [[], ["OTHER"]])
def test_a_plain_port_that_is_called_with_tls_is_named(tmp_path, callers):
    """Whether it would let the node in or not; the settings to change are named."""
    tls = ClientTls(files=files_of(Authority(tmp_path), "node"))
    with pacs(classes=[VERIFICATION], callers=callers) as port:
        steps = try_peer(peer(port, tls=tls))

    assert told(steps) == [("connection", True), ("TLS", False)]
    assert steps[-1].found == f"127.0.0.1 port {port} speaks DICOM, but without TLS"
    assert "peers.port" in steps[-1].advice
    assert "peers.tls = false" in steps[-1].advice


def test_another_node_is_told_by_what_its_ports_speak(tmp_path):
    """Its plain port called with TLS, and its TLS port without; it asks for a certificate."""
    hospital = Authority(tmp_path)
    tls = ClientTls(files=files_of(hospital, "node"))
    with listener(files_of(hospital, "archive")) as (plain_port, tls_port):
        *_, with_tls = try_peer(peer(plain_port, tls=tls))
        *_, without = try_peer(peer(tls_port))

    assert (with_tls.name, with_tls.ok) == ("TLS", False)
    assert with_tls.found.endswith("speaks DICOM, but without TLS")
    assert (without.name, without.ok) == ("association", False)
    assert without.found == f"127.0.0.1 port {tls_port} speaks TLS, and it is called without"
    assert without.advice.startswith("set peers.tls = true for pacs")


@pytest.mark.parametrize("with_tls", [False, True])
def test_a_port_that_speaks_neither_is_not_taken_for_one_that_does(tmp_path, with_tls):
    """It hangs up whatever is said to it."""
    tls = ClientTls(files=files_of(Authority(tmp_path), "node")) if with_tls else None
    with silent_server() as port:
        *_, last = try_peer(peer(port, tls=tls))

    assert last.name == ("TLS" if with_tls else "association")
    assert "speaks" not in last.found
    assert "TLS" in last.advice or "certificate" in last.advice


@contextmanager
def silent_server():
    """Run a server that closes each connection once something was said; yields its port."""

    class HangUp(socketserver.BaseRequestHandler):
        def handle(self):
            self.request.recv(4096)

    with socketserver.TCPServer((HOST, 0), HangUp) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


def test_tls_says_who_shows_which_certificate(tmp_path):
    """And whom the other side must believe if it does not."""
    hospital, stranger = Authority(tmp_path / "ca"), Authority(tmp_path / "other", "Other CA")
    good = ClientTls(files=files_of(hospital, "node"))
    bad = ClientTls(files=files_of(hospital, "doubter", believes=stranger))
    with listener(files_of(hospital, "archive")) as (_, tls_port):
        believed = try_peer(peer(tls_port, tls=good), results=False)
        doubted = try_peer(peer(tls_port, tls=bad), results=False)

    assert all(step.ok for step in believed)
    assert "it shows archive" in believed[1].found
    assert "the node shows node" in believed[1].found
    assert told(doubted) == [("connection", True), ("TLS", False)]
    assert "not believed" in doubted[1].found
    assert "tls.trusted" in doubted[1].advice
