"""Targets that listen: the DICOM port and the status page, each with real sockets."""

import atexit
import contextlib
import socket
import struct
import threading
from functools import cache

from fuzz.campaign import Target
from fuzz.mutation import blind, elements, pdus, tokens
from node_builders import START, encoded, small_series
from pydicom.uid import CTImageStorage

from dicom_node.association.callers import Caller
from dicom_node.association.receive_limits import ReceiveLimits
from dicom_node.association.scp_settings import ScpSettings
from dicom_node.association.storage_scp import StorageScp
from dicom_node.web.app import create_app
from dicom_node.web.server import WebServer
from dicom_node.web.source import Health

HOST = "127.0.0.1"
_PATIENCE_S = 8.0
_ACCEPTED = b"\x02"
_ALIVE_EVERY = 50


class ThreadDiedError(AssertionError):
    """An exception ended a thread of the node."""


class _Deaths:
    """Notes what ends threads."""

    def __init__(self) -> None:
        self.seen: list[BaseException] = []
        threading.excepthook = self._note

    def _note(self, died: threading.ExceptHookArgs) -> None:
        if died.exc_value is not None:
            self.seen.append(died.exc_value)

    def check(self) -> None:
        """Raise ThreadDiedError if there was one since the last time."""
        if self.seen:
            dead = self.seen.pop()
            self.seen.clear()
            raise ThreadDiedError(repr(dead)).with_traceback(dead.__traceback__)


class _Nowhere:
    """Takes custody of everything by forgetting it."""

    def accept(self, request: object) -> None:
        """Forget it."""

    def association_closed(self, sender: object, at: object) -> None:
        """Forget it."""


def _pdu(kind: int, body: bytes) -> bytes:
    return struct.pack(">BBI", kind, 0, len(body)) + body


def _item(kind: int, body: bytes) -> bytes:
    return struct.pack(">BBH", kind, 0, len(body)) + body


def _association_request() -> bytes:
    """Return an A-ASSOCIATE-RQ for CT and verification (PS3.8, section 9.3.2)."""
    contexts = b"".join(
        _item(
            0x20,
            bytes([number, 0, 0, 0])
            + _item(0x30, name.encode())
            + _item(0x40, b"1.2.840.10008.1.2.1")
            + _item(0x40, b"1.2.840.10008.1.2"),
        )
        for number, name in ((1, CTImageStorage), (3, "1.2.840.10008.1.1"))
    )
    about = _item(0x51, struct.pack(">I", 16384)) + _item(0x52, b"1.2.3") + _item(0x55, b"X")
    about += _item(0x53, struct.pack(">HH", 1, 1))
    about += _item(
        0x54, struct.pack(">H", len(CTImageStorage)) + CTImageStorage.encode() + b"\1\1"
    )
    about += _item(0x58, b"\1\0" + struct.pack(">H", 4) + b"user" + struct.pack(">H", 0))
    body = struct.pack(
        ">HH16s16s32s", 1, 0, b"ICHNODE".ljust(16), b"MODALITY".ljust(16), bytes(32)
    )
    return _pdu(1, body + _item(0x10, b"1.2.840.10008.3.1.1.1") + contexts + _item(0x50, about))


def _fragment(context: int, control: int, data: bytes) -> bytes:
    return _pdu(4, struct.pack(">IBB", len(data) + 2, context, control) + data)


def _element(number: int, value: bytes) -> bytes:
    return struct.pack("<HHI", 0, number, len(value)) + value


def _command(kind: int, sop_class: str, *, has_data: bool, uid: bytes = b"") -> bytes:
    """Return the command set of C-STORE (1) or C-ECHO (0x30); PS3.7, section 9.3."""
    body = _element(0x0002, sop_class.encode() + b"\0" * (len(sop_class) % 2))
    body += _element(0x0100, struct.pack("<H", kind)) + _element(0x0110, struct.pack("<H", 7))
    if has_data:
        body += _element(0x0700, struct.pack("<H", 0))
    body += _element(0x0800, struct.pack("<H", 0x0001 if has_data else 0x0101))
    body += _element(0x1000, uid + b"\0" * (len(uid) % 2)) if uid else b""
    return _element(0, struct.pack("<I", len(body))) + body


def _streams() -> list[bytes]:
    """Return whole associations: echo, store in one and in many pieces, abort."""
    image = small_series(1)[0]
    data_set = encoded(image)
    store = _command(1, CTImageStorage, has_data=True, uid=str(image.SOPInstanceUID).encode())
    echo = _command(0x30, "1.2.840.10008.1.1", has_data=False)
    pieces = b"".join(
        _fragment(1, 0 if at + 256 < len(data_set) else 2, data_set[at : at + 256])
        for at in range(0, len(data_set), 256)
    )
    release, abort = _pdu(5, bytes(4)), _pdu(7, bytes(4))
    begin = _association_request()
    return [
        begin + _fragment(3, 3, echo) + release,
        begin + _fragment(1, 3, store) + _fragment(1, 2, data_set) + release,
        begin + _fragment(1, 3, store) + pieces + abort,
    ]


@cache
def _dicom_port() -> int:
    limits = ReceiveLimits(
        request_s=1.0, pdu_s=1.0, message_s=2.0, max_object_bytes=2**22, max_unfinished_bytes=2**24
    )
    provider = StorageScp(
        settings=ScpSettings(
            ae_title="ICHNODE",
            host=HOST,
            port=0,
            callers=(Caller(ae_title="MODALITY"),),
            limits=limits,
            network_timeout_s=2.0,
            dimse_timeout_s=2.0,
        ),
        intake=_Nowhere(),
        clock=lambda: START,
    )
    provider.start()
    atexit.register(provider.stop, grace_s=0.1)
    return provider.port


def _exchange(port: int, data: bytes) -> bytes:
    """Send bytes, say that nothing more comes, return the answer."""
    answer = b""
    with socket.create_connection((HOST, port), timeout=_PATIENCE_S) as plug:
        with contextlib.suppress(ConnectionError, BrokenPipeError):
            plug.sendall(data)
            plug.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionError):
            while piece := plug.recv(65536):
                answer += piece
    return answer


class _Attacker:
    """Sends cases to a port, and asks now and then whether anybody is still there."""

    def __init__(self) -> None:
        self.cases = 0
        self.deaths: _Deaths | None = None

    def dicom(self, data: bytes) -> None:
        """Send a stream of PDUs."""
        self.deaths = self.deaths or _Deaths()
        _exchange(_dicom_port(), data)
        self.deaths.check()
        self.cases += 1
        if self.cases % _ALIVE_EVERY == 0:
            answer = _exchange(_dicom_port(), _association_request() + _pdu(7, bytes(4)))
            assert answer[:1] == _ACCEPTED, answer[:20]

    def http(self, data: bytes) -> None:
        """Send a request; it may be refused, but nothing may fail."""
        self.deaths = self.deaths or _Deaths()
        answer = _exchange(_web_port(), data)
        self.deaths.check()
        status = answer[9:12]
        assert not status.startswith(b"5"), answer[:100]
        self.cases += 1
        if self.cases % _ALIVE_EVERY == 0:
            alive = _exchange(_web_port(), b"GET /health HTTP/1.0\r\n\r\n")
            assert alive[9:12] == b"200", alive[:100]


class _EmptyStatus:
    """A node that has received nothing."""

    def rows(self) -> tuple:
        return ()

    def row(self, series_instance_uid: str) -> None:
        """Know no series."""

    def timeline(self, series_instance_uid: str) -> tuple:
        del series_instance_uid
        return ()

    def picture(self, job_id: int) -> None:
        """Have no picture."""

    def health(self) -> Health:
        return Health(
            healthy=True,
            faults=(),
            processes={},
            free_space_mb=1,
            jobs={},
            deliveries={},
            version="0",
        )


@cache
def _web_port() -> int:
    server = WebServer(create_app(_EmptyStatus(), title="ICHNODE"), host=HOST, port=0)
    server.start()
    atexit.register(server.stop)
    return server.port


_HTTP = tokens(
    (
        b"\r\n", b"\r\n\r\n", b"%2e%2e%2f", b"/../..", b"%00", b"%ff%fe", b"?", b"#", b"//",
        b"POST ", b"Content-Length: 99999999999\r\n", b"Transfer-Encoding: chunked\r\n",
        b"Host: <script>\r\n", b"Upgrade: websocket\r\n", b"Range: bytes=0-,-1,5-2\r\n",
        b"Expect: 100-continue\r\n", b"/pictures/-1.png", b"/pictures/99999999999999999999.png",
        b"/series/'\"><script>alert(1)</script>", b"HTTP/9.9", b"\x00", b"A" * 70000,
    )
)  # fmt: skip


def targets() -> list[Target]:
    """Return the targets of this module."""
    attacker = _Attacker()
    requests = [
        f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
        for path in (
            "/",
            "/status.json",
            "/series/1.2.3",
            "/pictures/1.png",
            "/style.css",
            "/ready",
        )
    ]
    return [
        Target(
            name="dicom",
            seeds=_streams(),
            check=attacker.dicom,
            mutations=(pdus, pdus, blind, elements),
        ),
        Target(name="http", seeds=requests, check=attacker.http, mutations=(_HTTP, _HTTP, blind)),
    ]
