"""The server of the pages: its port, its probes, its certificate."""

import ssl

import httpx
import pytest
from certificate_builder import Authority

from dicom_node.jobs.process_identity import ProcessIdentity
from dicom_node.web.server import WebServer


def test_the_server_takes_a_free_port_and_gives_it_back(node):
    """What the office starts it can stop."""
    server = WebServer(node.pages.app, host="127.0.0.1", port=0)
    server.start()
    try:
        answer = httpx.get(f"http://127.0.0.1:{server.port}/health")
        port = server.port
    finally:
        server.stop()

    assert answer.status_code == 200
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://127.0.0.1:{port}/health")


def test_the_pages_speak_tls(node, tmp_path):
    """With the site's certificate, to whoever trusts it."""
    authority = Authority(tmp_path / "tls")
    files = authority.issue("node")
    server = WebServer(
        node.pages.app,
        host="127.0.0.1",
        port=0,
        certificate=str(files.certificate),
        key=str(files.key),
    )
    server.start()
    try:
        context = ssl.create_default_context(cafile=str(authority.certificate))
        answer = httpx.get(f"https://127.0.0.1:{server.port}/ready", verify=context)
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"https://127.0.0.1:{server.port}/ready")
    finally:
        server.stop()

    assert answer.json()["ready"] is False


def test_a_certificate_that_is_not_there_is_a_fault_of_the_machine(node, tmp_path):
    """The office says so and does not start."""
    with pytest.raises(FileNotFoundError):
        WebServer(
            node.pages.app,
            host="127.0.0.1",
            port=0,
            certificate=str(tmp_path / "none.pem"),
            key=str(tmp_path / "none.key"),
        )


def test_health_is_for_machines(node):
    """A monitor reads the status code, a person the faults; no log-in is needed."""
    bad = node.client().get("/ready")
    alive = node.client().get("/health")
    for name in ("receiver", "worker-0", "office"):
        process = ProcessIdentity(name=name, host="here", pid=1, token=name)
        node.ledger.presence.enter(process, node.clock())
    good = node.client().get("/ready")

    assert (good.status_code, good.json()["ready"]) == (200, True)
    assert (bad.status_code, bad.json()["ready"]) == (503, False)
    assert "worker has not been seen for 20 s" in bad.json()["reasons"]
    assert (alive.status_code, alive.json()["alive"], alive.json()["healthy"]) == (
        200,
        True,
        False,
    )
    assert "The node works." in node.client("vera").get("/").text
