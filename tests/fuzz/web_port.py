"""The target of HTTP: the pages, with a real socket."""

import atexit
import contextlib
import http.client
from functools import cache

from fuzz.campaign import Target
from fuzz.mutation import blind, tokens
from fuzz.sockets import HOST, PATIENCE_S, Deaths, exchange

from dicom_node.web.app import create_app
from dicom_node.web.server import WebServer
from dicom_node.web.source import Health

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
        Target(name="http", seeds=requests, check=_Attacker(), mutations=(_HTTP, _HTTP, blind)),
    ]
