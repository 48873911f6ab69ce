"""That a mail server which means harm holds up nobody and fills no memory."""

import socket
import threading
from contextlib import closing, contextmanager, suppress

import pytest
from node_builders import START

from dicom_node.alerts.alert import AlertNotSentError, Message
from dicom_node.alerts.mail import Mail, MailSecurity
from dicom_node.alerts.mail_answers import MOST_BYTES, MailAnswers

MESSAGE = Message(node="ICHNODE", version="0", at=START, notices=())


@contextmanager
def saying(*answers):
    """Serve one caller: an answer for each thing that is heard, the first at once."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:

        def serve():
            with suppress(OSError), listener.accept()[0] as plug:
                for answer in answers:
                    plug.sendall(answer)
                    plug.recv(4096)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
    thread.join(60)


def mail(port, **options):
    return Mail(
        host="127.0.0.1",
        port=port,
        sender="ichnode@hospital.example",
        to=("ct@hospital.example",),
        security=MailSecurity.NONE,
        timeout_s=60,
        **options,
    )


@pytest.fixture
def plugs():
    ours, theirs = socket.socketpair()
    with closing(ours), closing(theirs):
        yield ours, theirs


def test_lines_come_one_by_one_and_the_rest_stays(plugs):
    """Two lines in one piece, a line in two pieces, the end."""
    ours, theirs = plugs
    theirs.sendall(b"220 a\r\n250-b\r\n25")
    theirs.sendall(b"0 c\r\n9")
    theirs.shutdown(socket.SHUT_WR)
    answers = MailAnswers(ours, ends_at=60.0, timer=lambda: 0.0)

    assert [answers.readline(100) for _ in range(5)] == [
        b"220 a\r\n",
        b"250-b\r\n",
        b"250 c\r\n",
        b"9",
        b"",
    ]


def test_a_line_without_an_end_is_given_in_part(plugs):
    """As `smtplib` needs it to say that the line is too long."""
    ours, theirs = plugs
    theirs.sendall(b"2" * 50)

    assert MailAnswers(ours, ends_at=60.0, timer=lambda: 0.0).readline(20) == b"2" * 20


def test_a_server_that_is_slow_is_given_up_at_the_end_of_the_time(plugs):
    """However often it sends a byte."""
    ours, theirs = plugs
    theirs.sendall(b"2")
    times = iter((0.0, 59.0, 61.0))
    answers = MailAnswers(ours, ends_at=60.0, timer=lambda: next(times))
    threading.Timer(0.05, theirs.sendall, (b"2",)).start()

    with pytest.raises(TimeoutError):
        answers.readline(100)


def test_an_answer_without_end_is_not_kept():
    """Lines that announce more, more of them than a conversation can have."""
    endless = b"220-x\r\n" * (MOST_BYTES // 4)
    with saying(endless) as port, pytest.raises(AlertNotSentError, match="Disconnected"):
        mail(port).send(MESSAGE)


def test_a_challenge_of_nonsense_is_a_mail_that_was_not_sent(tmp_path):
    """CRAM-MD5 with what is no base 64 (RFC 4954): an error that is none of the library's own."""
    secret = tmp_path / "secret"
    secret.write_text("xyzzy\n")
    secret.chmod(0o600)
    answers = (b"220 x\r\n", b"250-x\r\n250 AUTH CRAM-MD5\r\n", b"334 A\r\n", b"221 x\r\n")
    with saying(*answers) as port, pytest.raises(AlertNotSentError, match="did not take"):
        mail(port, user="ichnode", password_file=secret).send(MESSAGE)


def test_a_refusal_is_told_by_its_code_and_not_by_the_servers_words():
    """554 at the greeting (RFC 5321, section 3.1); what else a server says may be anything."""
    with saying(b"554 POISON of a server\r\n") as port, pytest.raises(AlertNotSentError) as caught:
        mail(port).send(MESSAGE)

    assert "reply code 554" in str(caught.value)
    assert "POISON" not in str(caught.value)
