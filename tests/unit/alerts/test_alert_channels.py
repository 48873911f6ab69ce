"""Webhook and mail, against small servers of our own on this machine."""

import json
import socketserver
from contextlib import contextmanager
from datetime import UTC, datetime
from email import message_from_string
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from served import served

from dicom_node.alerts.alert import Alert, AlertNotSentError, Message, Notice, Turn
from dicom_node.alerts.mail import Mail, MailSecurity
from dicom_node.alerts.webhook import Webhook

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
MESSAGE = Message(
    node="ICHNODE",
    version="1",
    at=NOON,
    notices=(
        Notice(
            alert=Alert(key="silence:CT1", sentence="No image from CT1 for more than 2 h"),
            turn=Turn.RAISED,
            since=NOON,
        ),
    ),
)


@contextmanager
def hook(status=204):
    """Take posts and answer with one status; yields what came, and the address."""
    came = []

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            came.append((self.path, dict(self.headers), body))
            self.send_response(status)
            self.send_header("Location", "http://127.0.0.1:1/elsewhere")
            self.end_headers()

        def log_message(self, *_):
            pass

    with served(HTTPServer(("127.0.0.1", 0), Hook)) as server:
        yield came, f"http://127.0.0.1:{server.server_port}/hook?room=7"


@contextmanager
def mail_server(*, refuses=False):
    """Speak as much SMTP as is needed (RFC 5321); yields the lines that came, and the port."""
    came = []

    class Smtp(socketserver.StreamRequestHandler):
        def answer(self, line):
            self.wfile.write(f"{line}\r\n".encode())

        def handle(self):
            self.answer("220 here")
            in_data = False
            for raw in self.rfile:
                line = raw.decode().rstrip("\r\n")
                came.append(line)
                word = line.split(" ")[0].upper()
                if in_data:
                    if line == ".":
                        in_data = False
                        self.answer("250 taken")
                elif word == "DATA":
                    in_data = True
                    self.answer("354 go on")
                elif word == "RCPT" and refuses:
                    self.answer("550 nobody of that name")
                elif word == "QUIT":
                    self.answer("221 bye")
                    return
                else:
                    self.answer("250 good")

    with served(socketserver.TCPServer(("127.0.0.1", 0), Smtp)) as server:
        yield came, server.server_address[1]


def mail(port, **options):
    given = {"security": MailSecurity.NONE, **options}
    return Mail(
        host="127.0.0.1",
        port=port,
        sender="ichnode@hospital.example",
        to=("ct@hospital.example", "it@hospital.example"),
        timeout_s=60,
        **given,
    )


@pytest.fixture
def secret(tmp_path):
    path = tmp_path / "secret"
    path.write_text("xyzzy\n")
    path.chmod(0o600)
    return path


def test_a_webhook_gets_json_with_the_bearer_token(secret):
    """`text` is what chat servers show, `alerts` what programs read."""
    with hook() as (came, url):
        Webhook(url=url, secret_file=secret).send(MESSAGE)

    ((path, headers, body),) = came
    document = json.loads(body)
    assert path == "/hook?room=7"
    assert headers["Authorization"] == "Bearer xyzzy"
    assert "No image from CT1" in document["text"]
    assert document["alerts"][0]["turn"] == "raised"


@pytest.mark.parametrize("status", [302, 401, 500])
def test_a_webhook_that_does_not_take_it_says_its_status(status):
    """A redirect is not followed: the token would go elsewhere."""
    with hook(status) as (came, url), pytest.raises(AlertNotSentError, match=str(status)):
        Webhook(url=url).send(MESSAGE)

    assert len(came) == 1


def test_a_webhook_that_is_away_says_so_without_the_token(secret):
    """Port 1 is not listened on."""
    with pytest.raises(AlertNotSentError, match="was not reached") as caught:
        Webhook(url="http://127.0.0.1:1/", secret_file=secret).send(MESSAGE)

    assert "xyzzy" not in str(caught.value)


def test_a_secret_that_others_can_read_is_not_used(secret):
    """The message names the file and what to do."""
    secret.chmod(0o644)
    with hook() as (came, url), pytest.raises(AlertNotSentError, match="chmod 600"):
        Webhook(url=url, secret_file=secret).send(MESSAGE)

    assert came == []


def test_a_mail_goes_to_everybody():
    """With sender, subject and both addresses; marked as made by a machine."""
    with mail_server() as (came, port):
        mail(port).send(MESSAGE)

    start, end = came.index("data") + 1, came.index(".")
    letter = message_from_string("\n".join(came[start:end]))
    assert "rcpt TO:<it@hospital.example>".lower() in [line.lower() for line in came]
    assert letter["Subject"] == "ICHNODE: 1 raised"
    assert letter["Auto-Submitted"] == "auto-generated"
    assert "No image from CT1" in letter.get_payload()


def test_a_mail_that_is_refused_was_not_sent():
    """Every address refused."""
    with mail_server(refuses=True) as (_, port), pytest.raises(AlertNotSentError) as caught:
        mail(port).send(MESSAGE)

    assert str(caught.value).startswith(f"127.0.0.1 port {port} did not take the mail")


def test_who_is_away_is_named_with_its_port_and_the_systems_word():
    """What an administrator needs to look at; port 1 is not listened on."""
    with pytest.raises(AlertNotSentError, match=r"127\.0\.0\.1 port 1 .*: Connection refused"):
        mail(1).send(MESSAGE)
    with pytest.raises(AlertNotSentError, match=r"127\.0\.0\.1 port 1 .*: Connection refused"):
        Webhook(url="http://127.0.0.1:1/").send(MESSAGE)


def test_no_mail_is_sent_in_the_clear_when_tls_is_wanted():
    """A server that does not offer STARTTLS gets neither password nor mail."""
    with mail_server() as (came, port), pytest.raises(AlertNotSentError):
        mail(port, security=MailSecurity.STARTTLS).send(MESSAGE)

    assert "data" not in [line.lower() for line in came]
