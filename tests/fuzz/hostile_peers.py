"""Targets that answer: DICOM peers and web servers that the node calls, and that mean it harm."""

import contextlib
import http.client
import select
import socket
import tempfile
import threading
from collections.abc import Callable
from datetime import date
from functools import cache
from pathlib import Path
from random import Random

from fuzz import wire
from fuzz.campaign import Target
from fuzz.mutation import Mutation, blind, elements, pdus, tokens
from fuzz.sockets import HOST, Deaths, PlayedBack
from node_builders import START, encoded, small_series
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage

from dicom_node.alerts.alert import AlertNotSentError, Message
from dicom_node.alerts.mail import Mail, MailSecurity
from dicom_node.alerts.webhook import Webhook
from dicom_node.association.commitment import (
    COMMITMENT_INSTANCE,
    STORAGE_COMMITMENT,
    ask_commitment,
    encode_report,
)
from dicom_node.association.commitment_terms import CommitmentReport, CommitmentRequest, Reference
from dicom_node.association.peers import Peer
from dicom_node.association.presentation import (
    STUDY_ROOT_FIND,
    STUDY_ROOT_GET,
    STUDY_ROOT_MOVE,
)
from dicom_node.association.query import PatientIdentity, RemoteSeries, StudyQuery, find_ct_series
from dicom_node.association.retrieve import get_series, move_series
from dicom_node.association.storage_scu import OutgoingFile, outgoing_file, send_files
from dicom_node.association.verification import echo
from dicom_node.delivery.stow_answer import outcomes
from dicom_node.errors import DeliveryError, QueryRefusedError
from dicom_node.web_service import WebService, request

_PATIENCE_S = 0.25
_NEXT_S = 0.05
#: First bytes from here on leave the connection open.
_STAYS = b"\xf6"
_ABOUT = Reference(sop_class_uid="1.2.3", sop_instance_uid="1.2.3.1")
_SERIES = RemoteSeries(
    study_instance_uid="1.2.3",
    series_instance_uid="1.2.3.4",
    study_date="20260105",
    study_time="080000",
    description="",
    body_part="",
    protocol="",
    instances=1,
)


def play_pdus(plug: socket.socket, data: bytes) -> None:
    """Send a PDU for each thing that is heard, then hang up, or not if the first byte says so."""
    for unit in wire.units(data[1:]):
        if select.select([plug], [], [], _NEXT_S)[0] and not plug.recv(65536):
            return
        plug.sendall(unit)
    if data[:1] < _STAYS:
        plug.shutdown(socket.SHUT_WR)
    while plug.recv(65536):
        pass


def play_at_once(plug: socket.socket, data: bytes) -> None:
    """Hear the request, send everything, hang up."""
    plug.recv(65536)
    plug.sendall(data)
    plug.shutdown(socket.SHUT_WR)
    while plug.recv(65536):
        pass


def play_lines(plug: socket.socket, data: bytes) -> None:
    """Greet, send an answer for each thing that is heard, hang up; `|` ends an answer."""
    for number, answer in enumerate(data.split(b"|")):
        if number and select.select([plug], [], [], _NEXT_S)[0] and not plug.recv(65536):
            return
        plug.sendall(answer)
    plug.shutdown(socket.SHUT_WR)
    while plug.recv(65536):
        pass


class _Forgets:
    def accept(self, request: object) -> None:
        """Forget it."""

    def association_closed(self, sender: object, at: object) -> None:
        """Forget it."""


@cache
def _file() -> OutgoingFile:
    path = Path(tempfile.gettempdir()) / "ichnode-fuzz-object.dcm"
    small_series(1)[0].save_as(path, enforce_file_format=True)
    return outgoing_file(path)


def _requests() -> tuple[Callable[[Peer], object], ...]:
    """Return what the node asks of peers."""
    patient = PatientIdentity(patient_id="P1", birth_date="19500101", sex="F")
    query = StudyQuery(patient=patient, first_day=date(2026, 1, 1), last_day=date(2026, 1, 9))
    wanted = CommitmentRequest(transaction_uid="1.2.3.9", references=(_ABOUT,))
    return (
        echo,
        lambda peer: send_files(peer, [_file(), _file()]),
        lambda peer: find_ct_series(peer, query, stop=threading.Event()),
        lambda peer: move_series(peer, [_SERIES], stop=threading.Event()),
        lambda peer: get_series(
            peer, [_SERIES], intake=_Forgets(), clock=lambda: START, stop=threading.Event()
        ),
        lambda peer: ask_commitment(peer, wanted, on_report=lambda _report: None, wait_s=0.1),
    )


def _answers() -> list[bytes]:
    """Return good answers to each request, behind a byte that says to which."""
    release = wire.pdu(wire.RELEASED, bytes(4))
    image = small_series(1)[0]
    study, series = Dataset(), Dataset()
    study.StudyInstanceUID, study.PatientID, study.StudyDate = "1.2.3", "P1", "20260105"
    study.ModalitiesInStudy = "CT"
    series.SeriesInstanceUID, series.Modality = "1.2.3.4", "CT"
    series.NumberOfSeriesRelatedInstances = 12
    counts = b"".join(wire.element(number, b"\x01\0") for number in (0x1020, 0x1021, 0x1022))
    store = wire.command(
        wire.C_STORE, CTImageStorage, has_data=True, uid=str(image.SOPInstanceUID)
    )
    report = CommitmentReport(transaction_uid="1.2.3.9", committed=(_ABOUT,), failed=())
    event = wire.n_event_report(STORAGE_COMMITMENT, COMMITMENT_INSTANCE, 1)

    def found(data_set: Dataset) -> bytes:
        pending = wire.response(wire.C_FIND, STUDY_ROOT_FIND, status=0xFF00, has_data=True)
        done = wire.response(wire.C_FIND, STUDY_ROOT_FIND)
        head, end = wire.fragment(1, 3, pending), wire.fragment(1, 3, done)
        return head + wire.fragment(1, 2, encoded(data_set)) + end

    def ended(kind: int, sop_class: str) -> bytes:
        pending = wire.response(kind, sop_class, status=0xFF00, more=counts)
        return wire.fragment(1, 3, pending) + wire.fragment(
            1, 3, wire.response(kind, sop_class, more=counts)
        )

    explicit = {"syntax": wire.EXPLICIT}
    echoed = wire.fragment(1, 3, wire.response(wire.C_ECHO, wire.VERIFICATION))
    stored = wire.fragment(1, 3, wire.response(wire.C_STORE, CTImageStorage))
    given = wire.fragment(9, 3, store) + wire.fragment(9, 2, encoded(image))
    asked = wire.fragment(1, 3, wire.response(wire.N_ACTION, STORAGE_COMMITMENT))
    told = wire.fragment(1, 3, event) + wire.fragment(1, 2, encoded(encode_report(report)))
    good = [
        (0, wire.association_answer(2, **explicit) + echoed),
        (1, wire.association_answer(2, **explicit) + stored + stored),
        (2, wire.association_answer(2, **explicit) + found(study) + found(series)),
        (3, wire.association_answer(2, **explicit) + ended(wire.C_MOVE, STUDY_ROOT_MOVE)),
        (4, wire.association_answer(40) + given + ended(wire.C_GET, STUDY_ROOT_GET)),
        (5, wire.association_answer(2, **explicit) + asked + told),
    ]
    rejected = wire.pdu(wire.REJECT, b"\0\1\1\7")
    aborted = wire.pdu(wire.ABORT, b"\0\0\2\1")
    seeds = [bytes([number]) + stream + release for number, stream in good]
    stays = bytes([_STAYS[0] + 3]) + good[0][1][:-10]  # in the middle of a PDU, and silent
    return [*seeds, bytes([0]) + rejected, bytes([2]) + aborted, stays]


class _Callers:
    """Has the node call a server that plays back a case."""

    def __init__(self) -> None:
        self._deaths: Deaths | None = None
        self._requests = _requests()

    def peer(self, data: bytes) -> None:
        """Ask something of a peer."""
        deaths = self._deaths = self._deaths or Deaths()
        server = _server(play_pdus)
        server.data = data
        peer = Peer(
            name="pacs",
            ae_title="PACS",
            host=HOST,
            port=server.port,
            calling_ae_title="ICHNODE",
            connect_timeout_s=_PATIENCE_S,
            acse_timeout_s=_PATIENCE_S,
            dimse_timeout_s=_PATIENCE_S,
            network_timeout_s=_PATIENCE_S,
        )
        ask = self._requests[(data[0] if data else 0) % len(self._requests)]
        with contextlib.suppress(DeliveryError, QueryRefusedError):
            ask(peer)
        deaths.check()

    def web_service(self, data: bytes) -> None:
        """Store at a DICOMweb server, or tell a webhook."""
        server = _server(play_at_once)
        server.data = data[1:]
        url = f"http://{HOST}:{server.port}/dicom-web"
        if data[:1] > b"\x7f":
            message = Message(node="ICHNODE", version="0", at=START, notices=())
            with contextlib.suppress(AlertNotSentError):
                Webhook(url=url, timeout_s=_PATIENCE_S).send(message)
            return
        service = WebService(name="vna", url=url, response_timeout_s=_PATIENCE_S)
        with contextlib.suppress(DeliveryError):
            answer = request(service, "POST", "/studies", headers={}, body=b"x")
            assert all(isinstance(one, str) for one in answer.warnings)
            outcomes("vna", [_file()], status=answer.status, body=answer.body)

    def mail(self, data: bytes) -> None:
        """Write to a mail server, with a log-in or without, with STARTTLS or without."""
        server = _server(play_lines)
        server.data = data[1:]
        kind = data[0] if data else 0
        with contextlib.suppress(AlertNotSentError):
            Mail(
                host=HOST,
                port=server.port,
                sender="ichnode@hospital.example",
                to=("ct@hospital.example", "it@hospital.example"),
                security=MailSecurity.STARTTLS if kind & 1 else MailSecurity.NONE,
                user="ichnode" if kind & 2 else "",
                password_file=_password(),
                timeout_s=_PATIENCE_S,
            ).send(Message(node="ICHNODE", version="0", at=START, notices=()))


@cache
def _password() -> Path:
    path = Path(tempfile.gettempdir()) / "ichnode-fuzz-password"
    path.touch(0o600)
    path.write_text("xyzzy\n")
    return path


@cache
def _server(play: Callable[[socket.socket, bytes], None]) -> PlayedBack:
    return PlayedBack(play)


_HTTP = tokens(
    (
        b"\r\n", b"\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 200 OK\r\n" * 3,
        b"Content-Length: -1\r\n", b"Content-Length: 99999999999\r\n", b"Content-Length: x\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n", b"ffffffffffffffff\r\n", b"-1\r\n", b"0\r\n",
        b'Warning: 299 x "\xff\r\n \r\n', b"Location: file:///etc/passwd\r\n", b"A" * 70000,
        b"X: y\r\n" * 200, b"HTTP/0.9", b"HTTP/9.9 999999999999999999 ", b"\0", b"\xff\xfe",
        b"Content-Encoding: gzip\r\n", b" : \r\n", b"HTTP/1.1 -5 ", b"HTTP/1.1 099 ",
    )
)  # fmt: skip


_SMTP = tokens(
    (
        b"|", b"\r\n", b"220-x\r\n" * 500, b"250-AUTH CRAM-MD5 PLAIN LOGIN\r\n", b"250-SIZE x\r\n",
        b"334 =\r\n", b"334 " + b"QUJD" * 3000 + b"\r\n", b"-1 \r\n", b"999999999999 x\r\n", b"\0",
        b"250-STARTTLS\r\n", b"\xff\xfe", b"A" * 70000, b"421 bye\r\n",
        b"250 " + b"9" * 5000, b"354\n",
        b"\x16\x03\x03\0\2\2\x28", b"250-SMTPUTF8\r\n", b"250-8BITMIME\r\n",
    )
)  # fmt: skip


def _conversations() -> list[bytes]:
    """Return what a good mail server says, with each log-in that there is (RFC 5321, RFC 4954)."""
    begins, hello = b"220 mail.example ESMTP\r\n|", b"250-mail.example\r\n250-8BITMIME\r\n"
    takes = b"250 ok\r\n|250 ok\r\n|250 ok\r\n|354 go on\r\n|250 ok\r\n|221 bye\r\n"
    challenge = b"334 PDEyM0BtYWlsLmV4YW1wbGU+\r\n|235 ok\r\n|"
    plain = begins + hello + b"250 SIZE 1000000\r\n|" + takes
    secure = begins + hello + b"250 STARTTLS\r\n|220 go on\r\n|" + b"\x16\x03\x03\0\0"
    asked = begins + hello + b"250 AUTH CRAM-MD5\r\n|" + challenge + takes
    login = begins + hello + b"250 AUTH LOGIN\r\n|334 VXNlcm5hbWU6\r\n|" + challenge + takes
    return [b"\0" + plain, b"\1" + secure, b"\2" + asked, b"\2" + login]


def _behind_a_byte(mutation: Mutation) -> Mutation:
    def change(data: bytes, random: Random) -> bytes:
        if not random.randrange(20):
            return bytes([random.randrange(256)]) + data[1:]
        return data[:1] + mutation(data[1:], random)

    return change


def _web_answers() -> list[bytes]:
    body = b'{"00081199":{"vr":"SQ","Value":[]}}'
    length = f"Content-Length: {len(body)}\r\n".encode()
    kinds = [
        b"HTTP/1.1 200 OK\r\nContent-Type: application/dicom+json\r\n" + length + b"\r\n" + body,
        b"HTTP/1.1 202 Accepted\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        b'HTTP/1.1 409 Conflict\r\nWarning: 299 pacs "no"\r\n\r\n' + body,
        *(
            f"HTTP/1.1 {status} {http.client.responses[status]}\r\n\r\n".encode()
            for status in (302, 401, 500)
        ),
    ]
    return [bytes([first]) + kind for kind in kinds for first in (0, 255)]


def targets() -> list[Target]:
    """Return the targets of this module."""
    callers = _Callers()
    return [
        Target(
            name="peer",
            seeds=_answers(),
            check=callers.peer,
            mutations=tuple(_behind_a_byte(one) for one in (pdus, pdus, blind, elements)),
        ),
        Target(
            name="web_service",
            seeds=_web_answers(),
            check=callers.web_service,
            mutations=tuple(_behind_a_byte(one) for one in (_HTTP, _HTTP, blind)),
            watched=("dicom_node/web_service.py", "dicom_node/delivery/stow_answer.py"),
        ),
        Target(
            name="mail",
            seeds=_conversations(),
            check=callers.mail,
            mutations=tuple(_behind_a_byte(one) for one in (_SMTP, _SMTP, blind)),
            watched=("dicom_node/alerts/mail_answers.py",),
        ),
    ]
