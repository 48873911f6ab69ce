"""``ichnode`` called as a person calls it, and a server of files on this machine."""

import http.server
import sys
from dataclasses import dataclass, field

import pytest
from served import served

from dicom_node.cli import app as cli


@pytest.fixture
def call(monkeypatch, capsys):
    """Run ``ichnode`` with arguments; returns exit code, output and error output."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["ichnode", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        out, err = capsys.readouterr()
        return caught.value.code, out, err

    return run


@dataclass(kw_only=True)
class FileServer:
    """What is served, by path; the announced length may be a lie."""

    address: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    announced: dict[str, int] = field(default_factory=dict)


@pytest.fixture
def server():
    """Serve files over HTTP on the loopback."""
    known = FileServer()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            content = known.files.get(self.path)
            if content is None:
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(known.announced.get(self.path, len(content))))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *arguments):
            del arguments  # nothing on the error output of the tests

    with served(http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as listening:
        known.address = f"http://127.0.0.1:{listening.server_port}"
        yield known
