"""The demonstration's little web server gives the viewer and passes on what the archive says."""

import http.server
import importlib.util
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from served import served

DEMO = Path(__file__).parents[3] / "deploy" / "demo"


def program():
    spec = importlib.util.spec_from_file_location("viewer_server", DEMO / "viewer_server.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Archive(http.server.BaseHTTPRequestHandler):
    """Answers with what it was asked."""

    def do_GET(self):
        """Refuse a study of the name none."""
        body = f"{self.path} {self.headers['Accept']}".encode()
        self.send_response(404 if "none" in self.path else 200)
        self.send_header("Content-Type", "multipart/related; boundary=x")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Say nothing."""


def address_of(server):
    return f"http://127.0.0.1:{server.server_address[1]}"


@pytest.fixture
def viewer(tmp_path):
    """Return the address of a viewer of two files."""
    (tmp_path / "ohif").mkdir()
    (tmp_path / "ohif" / "index.html").write_text("the viewer")
    (tmp_path / "ohif" / "app.wasm").write_bytes(b"\0asm")
    (tmp_path / "secret").write_text("secret")
    archive = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Archive)
    with served(archive) as behind:
        server = program().viewer_server(
            0, viewer=tmp_path / "ohif", settings=b"window.config = {}", archive=address_of(behind)
        )
        with served(server) as listening:
            yield address_of(listening)


def ask(address, accept="text/html"):
    request = urllib.request.Request(address, headers={"Accept": accept})  # noqa: S310  http
    with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310  http
        return answer.headers, answer.read()


def test_a_page_of_the_viewer_is_its_one_file(viewer):
    """Addresses such as /viewer exist in the browser only; files are given as they are."""
    headers, page = ask(f"{viewer}/viewer?StudyInstanceUIDs=1.2.3")

    assert page == b"the viewer"
    assert headers["Cross-Origin-Embedder-Policy"] == "require-corp"
    assert ask(f"{viewer}/app.wasm")[0]["Content-Type"] == "application/wasm"
    assert ask(f"{viewer}/app-config.js")[1] == b"window.config = {}"


def test_what_the_archive_says_is_passed_on_as_it_is(viewer):
    """Address, wanted type, type and status stay the same."""
    headers, body = ask(f"{viewer}/dicom-web/studies?limit=1", accept="application/dicom+json")

    assert body == b"/dicom-web/studies?limit=1 application/dicom+json"
    assert headers["Content-Type"] == "multipart/related; boundary=x"
    with pytest.raises(urllib.error.HTTPError) as refused:
        ask(f"{viewer}/dicom-web/studies/none")
    assert refused.value.code == 404
    refused.value.close()


def test_nothing_beside_the_viewer_is_given(viewer):
    """A path that climbs out of the folder ends at the viewer's page."""
    assert b"secret" not in ask(f"{viewer}/../secret")[1]
    assert b"secret" not in ask(f"{viewer}/%2e%2e/secret")[1]
