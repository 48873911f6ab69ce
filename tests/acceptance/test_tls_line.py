"""The whole node behind TLS only: images in and results out with certificates, nobody else."""

import pytest
from acceptance.conftest import head_series
from acceptance.node_process import NodeProcess, wait_until
from certificate_builder import Authority

from dicom_node.association.peers import Peer
from dicom_node.association.storage_scu import outgoing_file, send_files
from dicom_node.association.tls import ClientTls, TlsFiles
from dicom_node.association.verification import echo
from dicom_node.commands.demo_stage import free_ports

pytestmark = pytest.mark.acceptance


def test_images_come_in_over_tls_and_the_node_says_how_long_it_can(tmp_path, archive):
    """No plain port is open; status names the days that the certificates hold."""
    authority = Authority(tmp_path / "ca")
    own, modality = authority.issue("node"), authority.issue("modality", days=100)
    node = NodeProcess(tmp_path, pacs_port=archive.scp.port)
    (tls_port,) = free_ports(1)
    node.config.write_text(
        node.config.read_text().replace("[node]\n", "[node]\nplain = false\n")
        + f'\n[tls]\nenabled = true\nport = {tls_port}\ncertificate = "{own.certificate}"\n'
        f'key = "{own.key}"\ntrusted = "{authority.certificate}"\n'
    )
    files = TlsFiles(
        certificate=modality.certificate, key=modality.key, trusted=authority.certificate
    )
    common = {
        "name": "node",
        "ae_title": "ICHNODE",
        "host": "127.0.0.1",
        "calling_ae_title": "MODALITY",
    }
    images = [outgoing_file(path) for path in head_series(tmp_path / "ct", seed=77)]
    ready = node.start()
    try:
        plain = echo(Peer(**common, port=node.dicom_port))
        sent = send_files(Peer(**common, port=tls_port, tls=ClientTls(files=files)), images)
        wait_until(lambda: [row["state"] for row in node.rows()] == ["delivered"])
        checked = node.run("check")
    finally:
        node.stop()

    assert not plain.ok
    assert "Connection refused" in plain.message
    assert all(one.accepted for one in sent)
    assert "node.pem: node: holds for 363 days" in checked.stdout
    assert "DICOM TLS port" in checked.stdout
    assert f"127.0.0.1 port {tls_port} with TLS;" in ready
    assert "POISON" not in node.log.read_text()
