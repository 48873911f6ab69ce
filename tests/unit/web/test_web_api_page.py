"""The page about the interface for programs: its lines work as they stand, it names every path."""

import html
import os
import re
import shutil
import subprocess

import pytest
from node_builders import file_bytes, small_series

from dicom_node.users.role import UserRole
from dicom_node.web.server import WebServer

BLOCK = re.compile(r'<pre class="copy" id="([a-z0-9-]+)" tabindex="0">([^<]*)</pre>')


def blocks(text):
    return {name: html.unescape(line) for name, line in BLOCK.findall(text)}


def test_the_page_names_every_request_with_its_role(node):
    """Nothing of the schema is left out, and each says what it does."""
    page = html.unescape(node.client("vera").get("/api").text)

    schema = node.client("vera").get("/api/v1/openapi.json").json()
    for path, methods in schema["paths"].items():
        for method, facts in methods.items():
            assert f"<code>{method.upper()} {path}</code>" in page
            assert " ".join(facts["description"].split()) in page
    assert page.count("anybody") == 3


def test_examples_name_what_the_node_has(node):
    """The address by which the visitor came, the latest study with results, the first peer."""
    page = blocks(node.client("vera").get("/api").text)

    assert page["prepare"].splitlines()[0] == "export NODE=http://node.example:8180"
    assert node.study in page["example-3"]
    assert '"peer": "pacs"' in page["example-9"]


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl")
def test_each_line_can_be_copied_into_a_shell(node, tmp_path):
    """With a token of the role that is named; what comes is what was promised."""
    server = WebServer(node.pages.app, host="127.0.0.1", port=0)
    server.start()
    try:
        found = blocks(node.client("vera").get("/api").text)
        (tmp_path / "image.dcm").write_bytes(file_bytes(small_series(seed=5)[0]))
        token = node.token(UserRole.OPERATOR)["Authorization"].split()[1]
        environment = os.environ | {"NODE": f"http://127.0.0.1:{server.port}", "TOKEN": token}
        lines = [line for name, line in found.items() if name.startswith("example-")]
        done = subprocess.run(
            ["bash", "-e", "-c", "\n".join(lines)],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    finally:
        server.stop()

    assert done.returncode == 0, done.stderr
    assert len(lines) == 10
    assert (tmp_path / "result.dcm").read_bytes()[128:132] == b"DICM"
