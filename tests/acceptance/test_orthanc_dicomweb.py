"""Results go to orthanc-dicomweb by STOW-RS."""

from pathlib import Path

import pydicom
import pytest
from acceptance.conftest import head_series
from acceptance.node_process import NodeProcess, wait_until
from acceptance.orthanc_process import Orthanc

from dicom_node.association.storage_scu import SendKind, outgoing_file
from dicom_node.delivery.carrier import Manners
from dicom_node.delivery.stow import WebCarrier
from dicom_node.errors import PeerError
from dicom_node.web_service import Secret, WebService

pytestmark = pytest.mark.acceptance

#: Where Debian's package orthanc-dicomweb puts it.
PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory):
    """Return an Orthanc that speaks DICOMweb."""
    if not PLUGIN.exists():
        pytest.skip("orthanc-dicomweb is not installed")
    orthanc = Orthanc(tmp_path_factory.mktemp("web") / "orthanc", plugins=[PLUGIN])
    yield orthanc
    orthanc.stop()


def carrier(orthanc, password="test"):  # noqa: S107 - of the test's own Orthanc
    return WebCarrier(
        destination=WebService(
            name="vna",
            url=f"http://127.0.0.1:{orthanc.http_port}/dicom-web",
            secret=Secret(user="test", value=password),
        ),
        manners=Manners(),
    )


def test_orthanc_takes_whole_objects_by_stow(orthanc, tmp_path):
    """Basic authentication, one request, each object answered for; a repeat changes nothing."""
    files = head_series(tmp_path / "ct", seed=32)
    outcomes = []

    carrier(orthanc).probe()
    for _ in range(2):
        carrier(orthanc).send([outgoing_file(path) for path in files], on_outcome=outcomes.append)

    assert {one.kind for one in outcomes} == {SendKind.ACCEPTED}
    assert len(outcomes) == 2 * len(files)
    stored = orthanc.ask("/instances?expand")
    assert {one["MainDicomTags"]["SOPInstanceUID"] for one in stored} == {
        str(pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID) for path in files
    }


def test_a_damaged_object_is_refused_and_the_others_are_stored(orthanc, tmp_path):
    """Its header can be read, the rest is missing."""
    good, bad = head_series(tmp_path / "ct", seed=33)[:2]
    damaged = outgoing_file(bad)
    bad.write_bytes(bad.read_bytes()[:500])
    outcomes = []

    carrier(orthanc).send([outgoing_file(good), damaged], on_outcome=outcomes.append)

    assert [one.kind for one in outcomes] == [SendKind.ACCEPTED, SendKind.REFUSED]


def test_a_wrong_password_stores_nothing(orthanc, tmp_path):
    """HTTP 401 in words."""
    files = head_series(tmp_path / "ct", seed=34)

    with pytest.raises(PeerError, match="HTTP 401"):
        carrier(orthanc, "wrong").send([outgoing_file(files[0])], on_outcome=print)


def test_a_node_delivers_to_a_dicomweb_server(orthanc, tmp_path):
    """The whole line, from C-STORE to STOW-RS, with the secret in a file."""
    secret = tmp_path / "secret"
    secret.write_text("test\n")
    secret.chmod(0o600)
    files = head_series(tmp_path / "ct", seed=35)
    study = pydicom.dcmread(files[0], stop_before_pixels=True).StudyInstanceUID
    node = NodeProcess(tmp_path, pacs_port=1)
    node.config.write_text(
        node.config.read_text().replace("receives_results = true", "")
        + f"""
[[web_peers]]
name = "vna"
url = "http://127.0.0.1:{orthanc.http_port}/dicom-web"
receives_results = true
user = "test"
secret_file = "{secret}"
report_first = true
"""
    )
    node.start()
    try:
        assert node.send(files)
        wait_until(lambda: [row["state"] for row in node.rows()] == ["delivered"])
    finally:
        node.stop()

    found = [
        one["MainDicomTags"]["Modality"]
        for one in orthanc.ask("/series?expand")
        if orthanc.ask(f"/series/{one['ID']}/study")["MainDicomTags"]["StudyInstanceUID"] == study
    ]
    assert sorted(found) == ["OT", "SEG", "SR"]
    assert "Basic " not in node.log.read_text()
