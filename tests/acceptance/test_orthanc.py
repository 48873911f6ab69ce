"""Results arrive in a foreign PACS: Orthanc, started by the test."""

import base64
import json
import shutil
import subprocess
import urllib.error
import urllib.request
from collections import Counter

import pydicom
import pytest
from acceptance.conftest import head_series
from acceptance.node_process import NodeProcess, wait_until

from dicom_node.commands.demo_stage import free_ports

pytestmark = pytest.mark.acceptance

#: Only this test's own Orthanc, on the loopback address, ever hears it.
_USER = base64.b64encode(b"test:test").decode()


class Orthanc:
    """An Orthanc with an empty store of its own."""

    def __init__(self, folder, *, node_port=0):
        program = shutil.which("Orthanc") or shutil.which("Orthanc", path="/usr/sbin")
        if program is None:
            pytest.skip("Orthanc is not installed (Debian package orthanc)")
        self.dicom_port, self.http_port = free_ports(2)
        folder.mkdir()
        config = folder / "orthanc.json"
        settings = {
            "StorageDirectory": str(folder / "store"),
            "IndexDirectory": str(folder / "store"),
            "DicomAet": "ORTHANC",
            "DicomPort": self.dicom_port,
            "HttpPort": self.http_port,
            "RemoteAccessAllowed": False,
            "AuthenticationEnabled": True,
            "RegisteredUsers": {"test": "test"},
            "DicomAlwaysAllowStore": True,
            "DicomModalities": {"node": ["ICHNODE", "127.0.0.1", node_port or 11112]},
            "Plugins": [],
        }
        config.write_text(json.dumps(settings))
        self.log = (folder / "orthanc.log").open("w")
        self.process = subprocess.Popen([program, str(config)], stdout=self.log, stderr=self.log)
        wait_until(lambda: self.ask("/system"))

    def ask(self, path, body=None):
        """Return what the REST interface answers; None while nobody listens."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.http_port}{path}",
            headers={"Authorization": f"Basic {_USER}"},
            data=None if body is None else json.dumps(body).encode(),
        )
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310  loopback
                return json.loads(answer.read())
        except urllib.error.URLError:
            return None

    def stop(self):
        """End it."""
        self.process.terminate()
        self.process.wait(30)
        self.log.close()


@pytest.fixture
def orthanc(tmp_path):
    orthanc = Orthanc(tmp_path / "orthanc")
    yield orthanc
    orthanc.stop()


def test_orthanc_takes_all_results_into_the_study_of_the_ct(orthanc, tmp_path):
    """Captures, segmentation and report stand beside the CT under one patient and study."""
    files = head_series(tmp_path / "ct", seed=30)
    source = pydicom.dcmread(files[0])
    node = NodeProcess(tmp_path, pacs_port=orthanc.dicom_port, pacs_title="ORTHANC")
    node.start()
    try:
        done = node.run("echo", "pacs")
        assert node.send(files)
        wait_until(lambda: [row["state"] for row in node.rows()] == ["delivered"])
    finally:
        node.stop()

    assert done.returncode == 0, done.stdout
    (study,) = orthanc.ask("/studies?expand")
    assert study["MainDicomTags"]["StudyInstanceUID"] == source.StudyInstanceUID
    assert study["PatientMainDicomTags"]["PatientID"] == source.PatientID
    series = orthanc.ask("/series?expand")
    modalities = Counter()
    for one in series:
        modalities[one["MainDicomTags"]["Modality"]] += len(one["Instances"])
    assert modalities == {"OT": 3, "SEG": 1, "SR": 1}


def with_commitment(node):
    """Let a node ask its PACS for storage commitment, and answer who asks."""
    text = node.config.read_text()
    text = text.replace('"MODALITY"]', '"MODALITY", "ORTHANC"]\nanswers_commitment = true')
    text = text.replace("receives_results = true", "receives_results = true\ncommitment = true")
    node.config.write_text(text)


def test_orthanc_commits_itself_to_the_results_and_the_node_to_the_images(tmp_path):
    """Both ways: Orthanc reports over an association of its own, and asks as a scanner does."""
    files = head_series(tmp_path / "ct", seed=31)
    source = pydicom.dcmread(files[0])
    node = NodeProcess(tmp_path, pacs_port=0, pacs_title="ORTHANC")
    orthanc = Orthanc(tmp_path / "orthanc", node_port=node.dicom_port)
    node.config.write_text(
        node.config.read_text().replace("port = 0\n", f"port = {orthanc.dicom_port}\n")
    )
    with_commitment(node)
    node.start()
    try:
        assert node.send(files)
        wait_until(lambda: [row["state"] for row in node.rows()] == ["delivered"])
        (row,) = node.rows()
        unknown = [str(source.SOPClassUID), "1.2.3.404"]
        asked = orthanc.ask(
            "/modalities/node/storage-commitment",
            {"DicomInstances": [[str(source.SOPClassUID), str(source.SOPInstanceUID)], unknown]},
        )
        report = wait_until(
            lambda: (
                (answer := orthanc.ask(f"/storage-commitment/{asked['ID']}"))
                and answer["Status"] != "Pending"
                and answer
            )
        )
    finally:
        node.stop()
        orthanc.stop()

    assert {one["state"] for one in row["deliveries"]} == {"committed"}
    assert [one["SOPInstanceUID"] for one in report["Success"]] == [source.SOPInstanceUID]
    assert [(one["SOPInstanceUID"], one["FailureReason"]) for one in report["Failures"]] == [
        ("1.2.3.404", 0x0112)
    ]
