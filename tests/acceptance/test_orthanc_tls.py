"""Orthanc and the node over TLS with mutual authentication, in both directions."""

import pytest
from acceptance.node_process import wait_until
from acceptance.orthanc_process import Orthanc
from certificate_builder import Authority
from node_builders import Clock, file_bytes, small_series

from dicom_node.association.callers import Caller
from dicom_node.association.peers import Peer
from dicom_node.association.refusals import RefusalKind
from dicom_node.association.scp_settings import ScpSettings
from dicom_node.association.storage_scp import StorageScp
from dicom_node.association.storage_scu import outgoing_file, send_files
from dicom_node.association.tls import ClientTls, ServerTls, TlsFiles
from dicom_node.association.verification import echo

HOST = "127.0.0.1"

pytestmark = [
    pytest.mark.acceptance,
]


class MemoryIntake:
    """Keeps what it is given."""

    def __init__(self):
        self.requests = []

    def accept(self, request):
        self.requests.append(request)

    def association_closed(self, sender, at):
        """Forget it."""


def test_orthanc_and_the_node_exchange_images_over_tls(tmp_path):
    """Sent to Orthanc, sent back by Orthanc; without TLS neither lets the other in."""
    authority = Authority(tmp_path / "ca")
    own, theirs = authority.issue("node"), authority.issue("orthanc", rsa_bits=2048)
    files = TlsFiles(certificate=own.certificate, key=own.key, trusted=authority.certificate)
    intake = MemoryIntake()
    scp = StorageScp(
        settings=ScpSettings(
            ae_title="ICHNODE",
            host=HOST,
            port=None,
            tls_port=0,
            tls=ServerTls(files=files),
            callers=(Caller(ae_title="ORTHANC"),),
        ),
        intake=intake,
        clock=Clock(),
    )
    scp.start()
    modality = {"AET": "ICHNODE", "Host": HOST, "Port": scp.tls_port, "UseDicomTls": True}
    orthanc = Orthanc(
        tmp_path / "orthanc",
        DicomTlsEnabled=True,
        DicomTlsCertificate=str(theirs.certificate),
        DicomTlsPrivateKey=str(theirs.key),
        DicomTlsTrustedCertificates=str(authority.certificate),
        DicomModalities={"node": modality, "plain": modality | {"UseDicomTls": False}},
    )
    try:
        common = {
            "name": "pacs",
            "ae_title": "ORTHANC",
            "host": HOST,
            "port": orthanc.dicom_port,
            "calling_ae_title": "ICHNODE",
        }
        sent = []
        for number, ds in enumerate(small_series(3)):
            path = tmp_path / f"{number}.dcm"
            path.write_bytes(file_bytes(ds))
            sent.append(outgoing_file(path))
        outcomes = send_files(Peer(**common, tls=ClientTls(files=files)), sent)
        without = echo(Peer(**common, acse_timeout_s=3.0))
        stored = wait_until(lambda: orthanc.ask("/instances"))
        orthanc.ask("/modalities/node/store", stored)
        refused = orthanc.ask("/modalities/plain/echo", {})
    finally:
        orthanc.stop()
        scp.stop(grace_s=1)

    assert [one.accepted for one in outcomes] == [True] * 3
    assert not without.ok
    assert {one.sop_instance_uid for one in intake.requests} == {
        one.sop_instance_uid for one in sent
    }
    assert refused is None
    assert scp.refusals.totals() == {RefusalKind.TLS_FAILED: 1}
