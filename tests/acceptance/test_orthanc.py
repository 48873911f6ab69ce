"""Results arrive in a foreign PACS: Orthanc, started by the test."""

from collections import Counter

import pydicom
import pytest
from acceptance.conftest import head_series
from acceptance.node_process import NodeProcess, wait_until
from acceptance.orthanc_process import Orthanc

pytestmark = pytest.mark.acceptance


@pytest.fixture(scope="module")
def pair(folder):
    """Return a node and an Orthanc that ask each other for storage commitment."""
    node = NodeProcess(folder, pacs_port=0, pacs_title="ORTHANC")
    orthanc = Orthanc(folder / "orthanc", node_port=node.dicom_port)
    text = node.config.read_text().replace("port = 0\n", f"port = {orthanc.dicom_port}\n")
    text = text.replace('"MODALITY"]', '"MODALITY", "ORTHANC"]\nanswers_commitment = true')
    text = text.replace("receives_results = true", "receives_results = true\ncommitment = true")
    node.config.write_text(text)
    node.start()
    yield node, orthanc
    node.stop()
    orthanc.stop()


@pytest.fixture(scope="module")
def source(pair, folder):
    """Return an image of a series that was sent to the node, and whose results are delivered."""
    node, _ = pair
    files = head_series(folder / "ct", seed=31)
    assert node.send(files)
    wait_until(lambda: [row["state"] for row in node.rows()] == ["delivered"])
    return pydicom.dcmread(files[0])


def test_orthanc_takes_all_results_into_the_study_of_the_ct(pair, source):
    """Captures, segmentation and report stand beside the CT under one patient and study."""
    node, orthanc = pair

    done = node.run("echo", "pacs")

    assert done.returncode == 0, done.stdout
    (study,) = orthanc.ask("/studies?expand")
    assert study["MainDicomTags"]["StudyInstanceUID"] == source.StudyInstanceUID
    assert study["PatientMainDicomTags"]["PatientID"] == source.PatientID
    series = orthanc.ask("/series?expand")
    modalities = Counter()
    for one in series:
        modalities[one["MainDicomTags"]["Modality"]] += len(one["Instances"])
    assert modalities == {"OT": 3, "SEG": 1, "SR": 1}


def test_orthanc_commits_itself_to_the_results_and_the_node_to_the_images(pair, source):
    """Both ways: Orthanc reports over an association of its own, and asks as a scanner does."""
    node, orthanc = pair
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

    assert {one["state"] for one in row["deliveries"]} == {"committed"}
    assert [one["SOPInstanceUID"] for one in report["Success"]] == [source.SOPInstanceUID]
    assert [(one["SOPInstanceUID"], one["FailureReason"]) for one in report["Failures"]] == [
        ("1.2.3.404", 0x0112)
    ]
