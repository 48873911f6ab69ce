"""The server of the pages: its port, its probes, its certificate."""

import socket
import ssl
import warnings

import httpx
import pytest
from certificate_builder import NOW, Authority
from web_builder import web_node

from dicom_node.bootstrap.certificate_alarm import certificate_state
from dicom_node.errors import TlsFileError
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


def tls_server(node, files):
    server = WebServer(
        node.pages.app,
        host="127.0.0.1",
        port=0,
        certificate=str(files.certificate),
        key=str(files.key),
    )
    server.start()
    return server


def shaken(port, context, *, name=None):
    """Return the suite of a TLS connection and the serial number of the certificate shown."""
    with (
        socket.create_connection(("127.0.0.1", port), timeout=60) as plain,
        context.wrap_socket(plain, server_hostname=name or "127.0.0.1") as wrapped,
    ):
        return wrapped.cipher()[0], int(wrapped.getpeercert()["serialNumber"], 16)


def test_the_pages_speak_tls_by_bcp_195_only(node, tmp_path):
    """No suite without forward secrecy, no CBC, no TLS 1.1 (RFC 9325, sections 3.1 and 4.2)."""
    authority = Authority(tmp_path / "tls")
    server = tls_server(node, authority.issue("node"))

    def client(suites):
        context = ssl.create_default_context(cafile=str(authority.certificate))
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(f"{suites}:@SECLEVEL=0")
        return context

    old = client("ALL")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1

    try:
        suite, _ = shaken(server.port, client("ECDHE-ECDSA-AES128-GCM-SHA256"))
        assert suite == "ECDHE-ECDSA-AES128-GCM-SHA256"
        cbc, ccm = client("ECDHE-ECDSA-AES128-SHA256"), client("ECDHE-ECDSA-AES256-CCM8")
        for refused in (cbc, ccm, old):
            with pytest.raises(ssl.SSLError):
                shaken(server.port, refused)
    finally:
        server.stop()


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1"])
def test_a_renewed_certificate_is_shown_without_a_restart(node, tmp_path, name):
    """To browsers that call by name and by address; a broken pair leaves the last one in use."""
    authority = Authority(tmp_path / "tls")
    first, second = authority.issue("node"), authority.issue("renewed")
    server = tls_server(node, first)
    context = ssl.create_default_context(cafile=str(authority.certificate))
    try:
        before = shaken(server.port, context, name=name)[1]
        first.certificate.write_bytes(second.certificate.read_bytes())
        half = shaken(server.port, context, name=name)[1]
        first.key.write_bytes(second.key.read_bytes())
        after = shaken(server.port, context, name=name)[1]
    finally:
        server.stop()

    assert (before, half, after) == (first.serial, first.serial, second.serial)


def test_a_certificate_that_is_not_there_is_named(node, tmp_path):
    """The office says so and does not start."""
    with pytest.raises(TlsFileError, match=r"none\.pem"):
        WebServer(
            node.pages.app,
            host="127.0.0.1",
            port=0,
            certificate=str(tmp_path / "none.pem"),
            key=str(tmp_path / "none.key"),
        )


def test_the_certificate_of_the_pages_is_watched(data_folder, tmp_path):
    """Beside none of associations: health names its days, and what is wrong with its key."""
    files = Authority(tmp_path / "tls").issue("pages", days=21)
    tls = {"certificate": str(files.certificate), "key": str(files.key)}
    with web_node(data_folder, **tls) as node:
        good = certificate_state(node.settings, NOW)
        files.key.chmod(0o644)
        shared = certificate_state(node.settings, NOW)

    assert list(good.days_left.values()) == [20]
    assert (len(good.alarms), good.faults) == (1, ())
    assert "ends in 20 days" in good.alarms[0]
    assert "0644" in shared.faults[0]


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
