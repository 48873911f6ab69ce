"""STOW-RS on loopback: a server that reads requests as PS3.18 has them, and answers as told."""

import base64
import email
import email.policy
import http.server
import json
import logging
import ssl
import subprocess
import threading
from contextlib import contextmanager

import pytest
from node_builders import result_objects
from served import served

from dicom_node.association.storage_scu import SendKind, outgoing_file
from dicom_node.delivery.carrier import Manners
from dicom_node.delivery.stow import WebCarrier
from dicom_node.errors import PeerError, PeerTimeoutError, PeerUnreachableError
from dicom_node.web_service import Secret, WebService

JSON = "application/dicom+json"


def element(vr, *values):
    return {"vr": vr, "Value": list(values)}


def item(uid, **numbers):
    found = {
        "00081150": element("UI", "1.2.840.10008.5.1.4.1.1.7"),
        "00081155": element("UI", uid),
    }
    for tag, number in numbers.items():
        found[tag.removeprefix("t")] = element("US", number)
    return found


class FakeServer:
    """Keeps what was stored, and answers with status and document as set."""

    def __init__(self):
        self.requests, self.stored = [], {}
        self.status, self.answer, self.pause = 200, None, threading.Event()
        self.hangs = False

    def take(self, handler):
        """Read one request; return the parts, each with its type."""
        length = int(handler.headers["Content-Length"])
        kind = handler.headers["Content-Type"]
        body = handler.rfile.read(length)
        message = email.message_from_bytes(
            f"Content-Type: {kind}\r\nMIME-Version: 1.0\r\n\r\n".encode() + body,
            policy=email.policy.HTTP,
        )
        self.requests.append((handler.path, dict(handler.headers), kind))
        for part in message.iter_parts():
            assert part.get_content_type() == "application/dicom"
            data = part.get_payload(decode=True)
            self.stored[len(self.stored)] = data

    @contextmanager
    def listening(self, context=None):
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                outer.take(self)
                self.reply()

            def do_GET(self):
                outer.requests.append((self.path, dict(self.headers), ""))
                self.reply()

            def reply(self):
                if outer.hangs:
                    outer.pause.wait(60)
                body = b"" if outer.answer is None else json.dumps(outer.answer).encode()
                self.send_response(outer.status)
                self.send_header("Content-Type", JSON)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        with served(server):
            yield server.server_address[1]
            self.pause.set()


@pytest.fixture
def server():
    return FakeServer()


@pytest.fixture
def files(tmp_path):
    """Return three result files."""
    found = []
    for one in result_objects():
        path = tmp_path / f"{one.sop_instance_uid}.dcm"
        path.write_bytes(one.encoded)
        found.append(outgoing_file(path))
    return found


def carrier(port, scheme="http", **options):
    options = {"connect_timeout_s": 5, "response_timeout_s": 5} | options
    return WebCarrier(
        destination=WebService(
            name="vna", url=f"{scheme}://127.0.0.1:{port}/dicom-web/", **options
        ),
        manners=Manners(),
    )


def send(port, files, **options):
    outcomes = []
    carrier(port, **options).send(files, on_outcome=outcomes.append)
    return outcomes


def test_one_request_holds_every_object_byte_for_byte(server, files):
    """POST /studies, multipart/related with parts of application/dicom (PS3.18, 10.5.1)."""
    server.answer = {"00081199": element("SQ", *(item(one.sop_instance_uid) for one in files))}

    with server.listening() as port:
        outcomes = send(port, files)

    ((path, headers, kind),) = server.requests
    assert path == "/dicom-web/studies"
    assert kind.startswith('multipart/related; type="application/dicom"; boundary=')
    assert headers["Accept"] == f"{JSON}, application/dicom+xml;q=0.5"
    assert "Authorization" not in headers
    assert list(server.stored.values()) == [one.path.read_bytes() for one in files]
    assert [one.kind for one in outcomes] == [SendKind.ACCEPTED] * 3


def test_every_object_has_its_own_fate(server, files):
    """202: one stored, one stored with a warning, one failed (PS3.18, annex I)."""
    first, second, third = (one.sop_instance_uid for one in files)
    server.status = 202
    server.answer = {
        "00081199": element("SQ", item(first), item(second, t00081196=0xB000)),
        "00081198": element("SQ", item(third, t00081197=0x0122)),
    }

    with server.listening() as port:
        outcomes = send(port, files)

    assert [(one.kind, one.status) for one in outcomes] == [
        (SendKind.ACCEPTED, 0),
        (SendKind.WARNING, 0xB000),
        (SendKind.REFUSED, 0x0122),
    ]
    assert outcomes[2].message == "vna: SOP class not supported (0x0122)"


@pytest.mark.parametrize(
    ("status", "answer", "kinds"),
    [
        (200, None, "accepted accepted accepted"),
        (200, [], "accepted accepted accepted"),
        (202, None, "refused refused refused"),
        (409, {"00081198": {"vr": "SQ"}}, "refused refused refused"),
        (413, "too large", "refused refused refused"),
        (200, {"00081199": element("SQ", item("1.2.3.1.1"))}, "accepted refused refused"),
    ],
)
def test_an_answer_that_does_not_name_an_object(server, files, status, answer, kinds):
    """Only 200 without a word is success; an object that is left out was not stored."""
    server.status, server.answer = status, answer

    with server.listening() as port:
        outcomes = send(port, files)

    assert [str(one.kind) for one in outcomes] == kinds.split()


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (401, "HTTP 401 Unauthorized: it does not accept the node's user or token"),
        (403, "HTTP 403 Forbidden: the node may not store there"),
        (404, "there is no such service"),
        (302, "redirections are not followed"),
        (503, "HTTP 503 Service Unavailable"),
    ],
)
def test_an_answer_about_the_server_counts_as_out_of_reach(server, files, status, words):
    """The next object would fare no better: the circuit breaker decides when to try again."""
    server.status = status

    with server.listening() as port, pytest.raises(PeerError, match=words) as raised:
        send(port, files)

    assert not raised.value.reached


def test_basic_and_bearer_authentication(server, files, tmp_path, caplog):
    """RFC 7617 and RFC 6750; the file is read for each request, and nothing is logged."""
    caplog.set_level(logging.DEBUG)
    secret = tmp_path / "secret"
    secret.write_text("first\n")
    secret.chmod(0o600)

    with server.listening() as port:
        send(port, files, secret=Secret(user="node", file=secret))
        secret.write_text("second\n")
        send(port, files, secret=Secret(file=secret))
        send(port, files, secret=Secret(value="third"))

    fields = [headers["Authorization"] for _, headers, _ in server.requests]
    assert fields == [
        "Basic " + base64.b64encode(b"node:first").decode(),
        "Bearer second",
        "Bearer third",
    ]
    assert not any(word in caplog.text for word in ("first", "second", "third"))
    assert "third" not in repr(Secret(value="third"))


def test_a_secret_that_others_can_read_is_not_used(server, files, tmp_path):
    """Mode, found and expected, are named; the secret is not."""
    secret = tmp_path / "secret"
    secret.write_text("POISON")
    secret.chmod(0o644)

    with server.listening() as port, pytest.raises(PeerError, match="mode 0644") as raised:
        send(port, files, secret=Secret(file=secret))

    assert "POISON" not in str(raised.value)
    assert server.requests == []


def test_an_empty_or_absent_secret_is_a_fault(files, tmp_path):
    """Better no delivery than one without authentication."""
    for secret in (Secret(value=""), Secret(file=tmp_path / "absent")):
        with pytest.raises(PeerError, match="secret"):
            send(1, files, secret=secret)


def test_a_server_that_is_away_or_silent(server, files):
    """No connection; and no answer within the time-out."""
    with pytest.raises(PeerUnreachableError, match="No connection to vna"):
        send(1, files)
    server.hangs = True
    with server.listening() as port, pytest.raises(PeerTimeoutError, match="in time") as raised:
        send(port, files, response_timeout_s=0.3)
    assert raised.value.reached


@pytest.mark.parametrize("status", [200, 204, 404, 405])
def test_a_probe_wants_a_server_not_a_study(server, status):
    """Search may be unknown there; storing is what counts."""
    server.status = status

    with server.listening() as port:
        carrier(port).probe()

    ((path, _, _),) = server.requests
    assert path.startswith("/dicom-web/studies?")


@pytest.mark.parametrize("status", [401, 403, 500, 503])
def test_a_probe_that_finds_a_server_in_trouble(server, status):
    """It is not back yet."""
    server.status = status

    with server.listening() as port, pytest.raises(PeerError, match=f"HTTP {status}"):
        carrier(port).probe()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """Return a self-signed certificate for 127.0.0.1 and its key, made by OpenSSL."""
    folder = tmp_path_factory.mktemp("certificate")
    key, cert = folder / "key.pem", folder / "cert.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    command += ["-subj", "/CN=vna", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*command, "-keyout", key, "-out", cert], check=True, capture_output=True)
    return cert, key


@pytest.fixture
def tls(certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    return context


def test_tls_with_a_trusted_certificate(server, files, certificate, tls):
    """The authorities are a file of the site."""
    with server.listening(tls) as port:
        outcomes = send(port, files, scheme="https", trusted=certificate[0])

    assert [one.kind for one in outcomes] == [SendKind.ACCEPTED] * 3


def test_a_certificate_that_is_not_believed_gets_no_object(server, files, tls):
    """Strict, and there is no switch: nothing was sent, no secret either."""
    with (
        server.listening(tls) as port,
        pytest.raises(PeerUnreachableError, match="not believed"),
    ):
        send(port, files, scheme="https", secret=Secret(value="token"))

    assert server.requests == []
