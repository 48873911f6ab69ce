"""The target of HTTP: the pages, with a real socket."""

import atexit
import contextlib
import http.client
import tempfile
from functools import cache
from pathlib import Path

from fuzz.campaign import Target
from fuzz.mutation import blind, tokens
from fuzz.sockets import HOST, PATIENCE_S, Deaths, exchange
from web_builder import prepare, web_node

from dicom_node.web.server import WebServer

_ALIVE_EVERY = 50


class _Attacker:
    """Sends requests, and asks now and then whether anybody is still there."""

    def __init__(self) -> None:
        self.cases = 0
        self.deaths: Deaths | None = None

    def __call__(self, data: bytes) -> None:
        """Send a request; it may be refused, but nothing may fail."""
        self.deaths = self.deaths or Deaths()
        answer = exchange(_web_port(), [data])
        self.deaths.check()
        status = answer[9:12]
        assert not status.startswith(b"5"), answer[:100]
        self.cases += 1
        if self.cases % _ALIVE_EVERY == 0:
            alive = _page("/health")
            assert alive == 200, alive


def _page(path: str) -> int:
    """Return the status of a page that is asked for properly."""
    connection = http.client.HTTPConnection(HOST, _web_port(), timeout=PATIENCE_S)
    with contextlib.closing(connection):
        connection.request("GET", path)
        return connection.getresponse().status


@cache
def _web_port() -> int:
    """Serve the pages of a small node, which this machine may read, until the end."""
    stack = contextlib.ExitStack()
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    prepare(folder)
    node = stack.enter_context(web_node(folder, open_on_loopback=True))
    server = WebServer(node.pages.app, host=HOST, port=0)
    server.start()
    stack.callback(server.stop)
    atexit.register(stack.close)
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
    requests = [
        f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
        for path in (
            "/",
            "/status.json",
            "/series/1.2.3",
            "/pictures/1.png",
            "/static/style.css",
            "/studies?state=queued&page=1",
            "/studies/1.2.3",
            "/login?next=/",
            "/api/v1/studies?text=1.2",
            "/health",
        )
    ]
    return [
        Target(name="http", seeds=requests, check=_Attacker(), mutations=(_HTTP, _HTTP, blind)),
    ]
