"""OHIF and the archive's DICOMweb services under one address.

A browser lets a page read only from where it came. This server gives the viewer's files and passes
``/dicom-web`` and ``/wado`` on to the archive, so that neither needs to be told of the other. It
listens on this machine alone unless it is told otherwise. ``click_through.py`` starts it;
``compose.yaml`` runs it as a program.
"""

import argparse
import http.server
import urllib.error
import urllib.request
from functools import partial
from pathlib import Path
from socket import socket
from socketserver import BaseServer

HOST = "127.0.0.1"
_PASSED_ON = ("/dicom-web", "/wado")
#: What the viewer needs to use several threads.
_ISOLATION = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_PATIENCE_S = 120.0
_UNKNOWN = "application/octet-stream"


class ViewerHandler(http.server.SimpleHTTPRequestHandler):
    """Answers a browser.

    Parameters
    ----------
    viewer : Path
        Folder of the viewer's files.
    settings : bytes
        What the viewer reads as ``app-config.js``.
    archive : str
        Base address of the archive's web server.
    """

    protocol_version = "HTTP/1.1"
    extensions_map = {  # noqa: RUF012  as the library declares it
        **http.server.SimpleHTTPRequestHandler.extensions_map,
        ".wasm": "application/wasm",
        ".js": "text/javascript",
        ".mjs": "text/javascript",
    }

    def __init__(
        self,
        request: socket,
        address: tuple[str, int],
        server: BaseServer,
        *,
        viewer: Path,
        settings: bytes,
        archive: str,
    ) -> None:
        self._settings, self._archive = settings, archive
        super().__init__(request, address, server, directory=str(viewer))

    def end_headers(self) -> None:
        """Add what isolates the page from others."""
        for name, value in _ISOLATION.items():
            self.send_header(name, value)
        super().end_headers()

    def do_GET(self) -> None:
        """Give a file of the viewer, its settings, or what the archive says."""
        path = self.path.split("?")[0]
        if path.startswith(_PASSED_ON):
            self._pass_on()
        elif path == "/app-config.js":
            self._answer(200, "text/javascript", self._settings)
        else:
            if not Path(self.translate_path(self.path)).is_file():
                self.path = "/index.html"  # a page of the viewer, not a file
            super().do_GET()

    def _pass_on(self) -> None:
        accept = self.headers.get("Accept", "*/*")
        request = urllib.request.Request(  # noqa: S310  the archive of this demonstration
            self._archive + self.path,
            headers={"Accept": accept, "Host": self.headers.get("Host", HOST)},
        )
        try:
            with urllib.request.urlopen(request, timeout=_PATIENCE_S) as answer:  # noqa: S310
                kind = answer.headers.get("Content-Type", _UNKNOWN)
                self._answer(answer.status, kind, answer.read())
        except urllib.error.HTTPError as error:
            self._answer(error.code, "text/plain", error.read())

    def _answer(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing: addresses hold UIDs."""


def viewer_server(
    port: int, *, viewer: Path, settings: bytes, archive: str, host: str = HOST
) -> http.server.ThreadingHTTPServer:
    """Return the server, bound to the port."""
    handler = partial(ViewerHandler, viewer=viewer, settings=settings, archive=archive)
    return http.server.ThreadingHTTPServer((host, port), handler)


def main() -> None:
    """Serve until the process is ended."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default=HOST)
    parser.add_argument("--port", type=int, default=13000)
    parser.add_argument("--viewer", type=Path, required=True, help="folder with OHIF's files")
    parser.add_argument("--archive", required=True, help="base address of the archive")
    asked = parser.parse_args()
    settings = Path(__file__).with_name("app-config.js").read_bytes()
    with viewer_server(
        asked.port,
        viewer=asked.viewer,
        settings=settings,
        archive=asked.archive.rstrip("/"),
        host=asked.host,
    ) as server:
        server.serve_forever()


if __name__ == "__main__":
    main()
