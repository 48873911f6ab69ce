"""Results arrive in a foreign PACS: Orthanc, started by the test."""

from collections import Counter

import pydicom
import pytest
from acceptance.conftest import head_series
from acceptance.node_process import NodeProcess, wait_until
from acceptance.orthanc_process import Orthanc

pytestmark = pytest.mark.acceptance


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
