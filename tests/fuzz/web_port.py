"""Targets of HTTP: the pages behind a real socket, and the application as programs ask it."""

import asyncio
import atexit
import contextlib
import http.client
import tempfile
from functools import cache
from pathlib import Path
from random import Random
from urllib.parse import quote

from fuzz.campaign import Target
from fuzz.mutation import HOSTILE, blind, tokens
from fuzz.sockets import HOST, PATIENCE_S, Deaths, exchange
from web_builder import WebNode, prepare, web_node

from dicom_node.users.role import UserRole
from dicom_node.web.headers import SECURITY_HEADERS
from dicom_node.web.server import WebServer

_ALIVE_EVERY = 50
_SERVER_FAULT = 500


@cache
def kept_node() -> WebNode:
    """Return a node with a study, one that waits and three people; kept until the process ends."""
    stack = contextlib.ExitStack()
    atexit.register(stack.close)
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    prepare(folder)
    return stack.enter_context(web_node(folder))


@cache
def _port() -> int:
    server = WebServer(kept_node().pages.app, host=HOST, port=0)
    server.start()
    atexit.register(server.stop)
    return server.port


class _Attacker:
    """Sends requests, and asks now and then whether anybody is still there."""

    def __init__(self) -> None:
        self.cases = 0
        self.deaths: Deaths | None = None

    def __call__(self, data: bytes) -> None:
        """Send a request; it may be refused, but nothing may fail."""
        self.deaths = self.deaths or Deaths()
        answer = exchange(_port(), [data])
        self.deaths.check()
        assert is_no_fault(int(answer[9:12] or 400)), answer[:100]
        self.cases += 1
        if self.cases % _ALIVE_EVERY == 0:
            assert is_no_fault(_page("/health"))


def is_no_fault(status: int) -> bool:
    """Return whether a request was answered, or the node said by 503 that it is not ready."""
    return status < _SERVER_FAULT or status == http.client.SERVICE_UNAVAILABLE


def _page(path: str) -> int:
    """Return the status of a page that is asked for properly."""
    connection = http.client.HTTPConnection(HOST, _port(), timeout=PATIENCE_S)
    with contextlib.closing(connection):
        connection.request("GET", path)
        return connection.getresponse().status


@cache
def _tokens() -> dict[int, bytes]:
    """Return a program's right for some first bytes of a case; without one, nobody asks."""
    return {
        number: kept_node().token(role)["Authorization"].encode()
        for number, role in enumerate(UserRole)
    }


async def _ask(
    path: str, query: bytes, body: bytes, headers: list[tuple[bytes, bytes]]
) -> tuple[int, dict[bytes, bytes]]:
    """Give the application a request; one with a body is a POST."""
    started: dict[str, object] = {}
    sent = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> dict:
        return sent.pop() if sent else {"type": "http.disconnect"}

    async def send(message: dict) -> None:
        if message["type"] == "http.response.start":
            started.update(message)

    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "scheme": "http",
        "method": "POST" if body else "GET", "path": path, "raw_path": quote(path).encode(),
        "query_string": quote(query, safe="/?&=%+:;,").encode(),
        "headers": [(b"host", b"node.example:8180"), *headers],
        "root_path": "", "client": ("10.0.0.5", 50000), "server": ("node.example", 8180),
    }  # fmt: skip
    await kept_node().pages.app(scope, receive, send)
    return int(str(started["status"])), dict(started["headers"])  # type: ignore[call-overload]


def ask_application(
    path: str, *, query: bytes = b"", body: bytes = b"", headers: list[tuple[bytes, bytes]]
) -> tuple[int, dict[bytes, bytes]]:
    """Return status and headers of what the application answers."""
    return _loop().run_until_complete(_ask(path, query, body, headers))


@cache
def _loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    atexit.register(loop.close)
    return loop


def _request(data: bytes) -> None:
    """Ask as nobody or as a program; every answer is no fault, and has the headers.

    The parts of a case are lines: path, query, type, body.
    """
    path, query, kind, *rest = [*data[1:].split(b"\n", 3), b"", b"", b""]
    headers = [(b"content-type", kind), (b"accept-language", query)]
    if token := _tokens().get(data[0] % 8 if data else 7):
        headers.append((b"authorization", token))
    status, answered = ask_application(
        path.decode("utf-8", "replace"), query=query, body=rest[0], headers=headers
    )
    assert is_no_fault(status), status
    for name, value in SECURITY_HEADERS.items():
        assert answered[name.lower().encode()] == value.encode(), name


_HTTP = tokens(
    (
        b"\r\n", b"\r\n\r\n", b"%2e%2e%2f", b"/../..", b"%00", b"%ff%fe", b"?", b"#", b"//",
        b"POST ", b"Content-Length: 99999999999\r\n", b"Transfer-Encoding: chunked\r\n",
        b"Host: <script>\r\n", b"Upgrade: websocket\r\n", b"Range: bytes=0-,-1,5-2\r\n",
        b"Expect: 100-continue\r\n", b"/pictures/-1.png", b"/pictures/99999999999999999999.png",
        b"/series/'\"><script>alert(1)</script>", b"HTTP/9.9", b"\x00", b"A" * 70000,
    )
)  # fmt: skip
_PARTS = tokens(
    (
        *HOSTILE, b"\n", b"/", b"?", b"&", b"=", b"%", b"%00", b"..", b"//", b"{", b"[", b'"',
        b"page=-1", b"page=99999999999999999999", b"from=2026-13-45", b"state=", b"search=%%%",
        b"application/json", b"multipart/form-data; boundary=x", b"csrf=" + b"0" * 64,
        b"/studies/", b"/api/v1/studies", b"/users", b"x=y&" * 300, b"zh-CN;q=nan",
    )
)  # fmt: skip


def _places() -> list[str]:
    """Return every path of the pages, with a study in it."""
    node = kept_node()
    found = {path for _, path in _routes(node)}
    for name, value in {"study_uid": node.study, "study": node.study, "job_id": node.job}.items():
        found = {path.replace(f"{{{name}}}", str(value)) for path in found}
    return sorted(found)


def _routes(node: WebNode) -> list[tuple[str, str]]:
    return [
        (method, route.path)
        for route in node.pages.app.routes
        for method in getattr(route, "methods", None) or ("GET",)
    ]


def _wire(path: str) -> bytes:
    request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    return request.encode()


def _mutated_parts(data: bytes, random: Random) -> bytes:
    if not random.randrange(10):
        return bytes([random.randrange(8)]) + data[1:]
    return data[:1] + _PARTS(data[1:], random)


def targets() -> list[Target]:
    """Return the targets of this module."""
    asked = [
        bytes([number % 4]) + f"{path}\npage=1&search=x&state=delivered\n\n".encode()
        for number, path in enumerate(_places())
    ]
    form = b"application/x-www-form-urlencoded\ncsrf=0&name=vera&password=x&why=y"
    posted = [bytes([2]) + f"{path}\n\n".encode() + form for path in _places()]
    return [
        Target(
            name="http",
            seeds=[_wire(path) for path in _places()],
            check=_Attacker(),
            mutations=(_HTTP, _HTTP, blind),
        ),
        Target(
            name="web",
            seeds=[*asked, *posted],
            check=_request,
            mutations=(_mutated_parts, _mutated_parts, _mutated_parts, blind),
        ),
    ]
