"""What a hostile peer or server answers ends in an error of ours, soon, and in little memory."""

import contextlib
import json
import socket
import threading
import time

import pytest
from fuzz.edges import ROOT
from fuzz.wire import C_STORE, VERIFICATION, fragment, response
from node_builders import START
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset

from dicom_node.alerts.alert import AlertNotSentError, Message
from dicom_node.alerts.webhook import Webhook
from dicom_node.association import query
from dicom_node.association.peers import Peer
from dicom_node.association.storage_scu import OutgoingFile
from dicom_node.association.verification import echo
from dicom_node.audit import events
from dicom_node.audit.message import AuditSource, encode_message
from dicom_node.delivery.stow_answer import outcomes
from dicom_node.errors import PeerError, PeerTimeoutError, UnaskablePatientError
from dicom_node.intake.patient_identity import read_patient_identity
from dicom_node.settings.file import SettingsError, load_settings
from dicom_node.web_service import WebService, request
from dicom_node.worklist.multipart import BrokenMultipartError, boundary_of
from pipeline.card_json import card_from_json
from pipeline.errors import ModelBundleError

_REQUEST_S = 60.0
CORPUS = ROOT / "tests" / "fuzz" / "corpus" / "multipart" / "13288850731f8677.bin"


def item(kind, body):
    return bytes([kind, 0]) + len(body).to_bytes(2) + body


def accepted(syntax=b"1.2.840.10008.1.2"):
    """Return an A-ASSOCIATE-AC for context 1 (PS3.8, section 9.3.3)."""
    context = item(0x21, b"\1\0\0\0" + item(0x40, syntax))
    about = item(0x50, item(0x51, (16384).to_bytes(4)) + item(0x52, b"1.2.3"))
    body = b"\0\1\0\0" + bytes(64) + item(0x10, b"1.2.840.10008.3.1.1.1") + context + about
    return b"\2\0" + len(body).to_bytes(4) + body


@contextlib.contextmanager
def server(talk):
    """Let a function talk to each caller; yields the port."""
    listener = socket.create_server(("127.0.0.1", 0))
    over = threading.Event()

    def serve():
        with contextlib.suppress(OSError):
            while True:
                plug, _ = listener.accept()
                threading.Thread(target=speak, args=(plug,), daemon=True).start()

    def speak(plug):
        with contextlib.suppress(OSError), plug:
            talk(plug, over)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        over.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def peer_at(port, patience_s=0.3):
    return Peer(
        name="pacs",
        ae_title="PACS",
        host="127.0.0.1",
        port=port,
        calling_ae_title="ICHNODE",
        acse_timeout_s=_REQUEST_S,
        dimse_timeout_s=patience_s,
        network_timeout_s=patience_s,
    )


def answers(*pieces):
    """Return a talk that hears before it says each piece, and stays until the end."""

    def talk(plug, over):
        for piece in pieces:
            plug.recv(65536)
            plug.sendall(piece)
        over.wait(_REQUEST_S)

    return talk


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"\4\0\0\0\0\x64\0\0", id="stops-in-the-middle"),
        pytest.param(b"\4\0\xff\xff\xff\xff" + bytes(1000), id="four-gigabytes"),
        pytest.param(b"\4\0\0\0\0\x06\0\0\0\2\1\3", id="empty-command"),
        pytest.param(fragment(1, 3, response(C_STORE, VERIFICATION)), id="other-answer"),
        pytest.param(b"\7\0\0\0\0\4\0\0\2\xee", id="abort-for-no-known-reason"),
    ],
)
def test_a_peer_that_answers_nonsense_is_given_up_soon(answer, monkeypatch):
    """No thread dies or waits for the peer to hang up: the peer here never does."""
    died = []
    monkeypatch.setattr(threading, "excepthook", died.append)
    with server(answers(accepted(), answer)) as port:
        started = time.monotonic()
        result = echo(peer_at(port))
        took_s = time.monotonic() - started

    assert not result.ok
    assert died == []
    assert took_s < _REQUEST_S / 2


def test_an_answer_that_never_ends_is_given_up(monkeypatch):
    """Fragments of one data set, and no last one: the association ends at the limit."""
    monkeypatch.setattr("dicom_node.association.answer_guard._LONGEST_ANSWER", 10_000)
    fragment = b"\4\0" + (1006).to_bytes(4) + (1002).to_bytes(4) + b"\1\1" + bytes(1000)
    sent = []

    def talk(plug, over):
        plug.recv(65536)
        plug.sendall(accepted())
        plug.recv(65536)
        while not over.is_set():
            plug.sendall(fragment)
            sent.append(len(fragment))

    with server(talk) as port:
        result = echo(peer_at(port, patience_s=_REQUEST_S))

    assert not result.ok
    assert "did not answer C-ECHO" in result.message


def continues(plug, over):
    plug.recv(65536)
    while not over.wait(0.01):
        plug.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")


def drips(plug, over):
    plug.recv(65536)
    plug.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    while not over.wait(0.01):
        plug.sendall(b" ")


@pytest.mark.parametrize("talk", [continues, drips])
def test_a_web_server_that_is_never_done_is_given_up(talk):
    """Each byte comes in time, the answer does not."""
    with server(talk) as port:
        service = WebService(name="vna", url=f"http://127.0.0.1:{port}", response_timeout_s=0.1)

        with pytest.raises(PeerTimeoutError):
            request(service, "GET", "/studies", headers={})


def test_a_webhook_that_is_never_done_is_given_up():
    """The same for alerts."""
    message = Message(node="ICHNODE", version="0", at=START, notices=())
    with server(continues) as port, pytest.raises(AlertNotSentError):
        Webhook(url=f"http://127.0.0.1:{port}/x", timeout_s=0.1).send(message)


def test_a_web_server_that_answers_in_time_is_heard():
    """The whole body, and its status."""

    def talk(plug, over):
        del over
        plug.recv(65536)
        plug.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")

    with server(talk) as port:
        answer = request(
            WebService(name="vna", url=f"http://127.0.0.1:{port}"), "GET", "/", headers={}
        )

    assert (answer.status, answer.body) == (200, b"hello")


def test_a_damaged_answer_to_a_query_reads_as_empty():
    """A number where a UID must be, a VR that does not exist: none of it is passed on."""
    answer = Dataset()
    answer.StudyInstanceUID = "1.2.3"
    tag = answer.data_element("StudyInstanceUID").tag
    answer._dict[tag] = RawDataElement(tag, "FD", 6, b"1.2.3\0", 0, False, True)

    assert query.text_of(answer, "StudyInstanceUID") == ""
    assert query.series_keys(answer).StudyInstanceUID == ""


@pytest.mark.filterwarnings("ignore")  # pydicom's, of damaged values
@pytest.mark.parametrize("content", [b"", b"\0" * 128 + b"DICM" + b"\2\0\0\0UL\4\0", b"DICM" * 99])
def test_a_damaged_image_tells_nobody(tmp_path, content):
    """There is no patient to ask for."""
    path = tmp_path / "image"
    path.write_bytes(content)

    with pytest.raises(UnaskablePatientError):
        read_patient_identity(path)


@pytest.mark.parametrize("reason", [10**400, -1, 65536, True, 1.0, "272"])
def test_a_reason_that_is_no_reason_is_left_out(reason):
    """VR US: an unsigned number of two bytes; anything else would only swell the message."""
    file = OutgoingFile(
        path=None, sop_class_uid="1.2", sop_instance_uid="1.2.3", transfer_syntax_uid="1.2.4"
    )
    item_failed = {"00081155": {"Value": ["1.2.3"]}, "00081197": {"Value": [reason]}}
    body = json.dumps({"00081198": {"Value": [item_failed]}}).encode()

    (fate,) = outcomes("vna", [file], status=409, body=body)

    assert len(fate.message) < 80
    assert not fate.accepted


def test_settings_that_are_nested_without_end_are_a_fault(tmp_path):
    """As any other text that is no TOML."""
    path = tmp_path / "node.toml"
    path.write_text("x = " + "[" * 5000)

    with pytest.raises(SettingsError, match="readable TOML"):
        load_settings(path, {})


@pytest.mark.parametrize("text", ["[" * 100_000, '{"card_format": 6, "x": ' + "[" * 100_000])
def test_a_model_card_that_is_nested_without_end_is_no_card(text):
    """As any other text that is no JSON."""
    with pytest.raises(ModelBundleError, match="no JSON"):
        card_from_json(text, where="card.json")


def test_an_audit_message_holds_what_no_encoding_can():
    """Half a surrogate pair, as Python makes of a path that is no UTF-8, and a bell."""
    node = events.Party(ae_title="ICHNODE")
    message = events.exported(node, "\udcff", "/x\udc80\x07", 1, START)

    text = encode_message(message, AuditSource(source_id="A\x00", site_id="B\x1b")).decode()

    assert 'AuditSourceID="A?"' in text
    assert 'AuditEnterpriseSiteID="B?"' in text


def test_the_error_of_a_broken_service_is_ours():
    """A status line of nonsense is no HTTP."""

    def talk(plug, over):
        del over
        plug.recv(65536)
        plug.sendall(b"\xff\xfe nonsense\r\n\r\n")

    with server(talk) as port, pytest.raises(PeerError, match="does not speak HTTP"):
        request(WebService(name="vna", url=f"http://127.0.0.1:{port}"), "GET", "/", headers={})


@pytest.mark.parametrize("port", ["[1]", "{}", '"104"', "1.5"])
def test_a_port_that_is_no_number_is_a_fault(tmp_path, port):
    """One fault with its key, whatever stands there; found by the fuzz campaign."""
    path = tmp_path / "node.toml"
    path.write_text(f"[node]\nport = {port}\n")

    with pytest.raises(SettingsError, match=r"node\.port"):
        load_settings(path, {})


@pytest.mark.parametrize("syntax", [b"1.2.3", b"1.2.840.10008.1.2.4.90"])
def test_a_context_in_an_encoding_that_nobody_asked_for_is_none(syntax):
    """Whatever UID the peer answers with; found by the fuzz campaign."""
    with server(answers(accepted(syntax), b"\6\0\0\0\0\4\0\0\0\0")) as port:
        result = echo(peer_at(port))

    assert not result.ok
    assert "not the Verification SOP class" in result.message


def test_a_boundary_in_a_damaged_coding_is_none():
    """RFC 2231 lets parameters be coded; what is coded wrongly ends in our error."""
    with pytest.raises(BrokenMultipartError):
        boundary_of(CORPUS.read_bytes().partition(b"\n")[0].decode("latin-1"))
