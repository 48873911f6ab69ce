"""Somebody names a study; the node fetches it from Orthanc and analyses it."""

import json
import subprocess
import sys

import pytest
from acceptance.node_process import NodeProcess
from acceptance.orthanc_process import Orthanc
from ct_builder import POISON_NAME, Ball, build_ct_series, save_series

from dicom_node.association.peers import Peer
from dicom_node.association.storage_scu import outgoing_file, send_files

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(600)]

PATIENT = "POISON-PULL"
STUDY = "1.2.826.0.1.3680043.8.498.881"

PATIENCE_S = 300


@pytest.fixture
def files(tmp_path):
    """Return the files of a head CT of 30 slices and of a topogram of its study."""
    head = build_ct_series(
        slices=30,
        shape_yx=(96, 96),
        balls=(Ball(radius_mm=15.0),),
        noise_hu=3.0,
        seed=1,
        patient_id=PATIENT,
        study_uid=STUDY,
    )
    scout = build_ct_series(
        slices=1, shape_yx=(64, 64), seed=2, patient_id=PATIENT, study_uid=STUDY
    )
    for image in (*head, *scout):
        image.AccessionNumber = "A-77"
    for image in scout:
        image.SeriesDescription = "Topogram"
    return [
        *save_series(head, tmp_path / "head"),
        *save_series(scout, tmp_path / "scout"),
    ]


@pytest.fixture
def pacs(tmp_path, files):
    """Return a node that is not started, and an Orthanc that has the study."""
    node = NodeProcess(tmp_path, pacs_port=0, pacs_title="ORTHANC")
    orthanc = Orthanc(tmp_path / "orthanc", node_port=node.dicom_port)
    text = node.config.read_text().replace("port = 0\n", f"port = {orthanc.dicom_port}\n")
    node.config.write_text(text.replace('"MODALITY"]', '"MODALITY", "ORTHANC"]'))
    archive = Peer(
        name="pacs",
        ae_title="ORTHANC",
        host="127.0.0.1",
        port=orthanc.dicom_port,
        calling_ae_title="MODALITY",
    )
    outcomes = send_files(archive, [outgoing_file(path) for path in files])
    assert all(one.accepted for one in outcomes)
    yield node, orthanc
    if node.process is not None:
        node.stop()
    orthanc.stop()


def pull(node, *words, stdin=""):
    """Run ``ichnode pull``; return exit code, output and errors."""
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "dicom_node",
            "pull",
            *words,
            "--from",
            "pacs",
            "--config",
            node.config,
        ],
        capture_output=True,
        text=True,
        input=stdin,
        timeout=PATIENCE_S,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("by", ["move", "get"])
def test_a_study_is_pulled_analysed_and_sent_back(pacs, by):
    """By Patient ID from standard input; the topogram stays, and says why; no name in the log."""
    node, orthanc = pacs
    code, _, told = pull(node, PATIENT)
    assert (code, "start one: ichnode serve" in told) == (1, True)
    node.start()

    code, output, errors = pull(node, "-", "--by", by, stdin=f"{PATIENT}\n")

    assert code == 0, output + errors + node.log.read_text()
    assert "excluded by rule: description matches" in output
    assert "30 images of 1 series fetched" in output
    assert "hematoma found" in output
    assert "pacs: " in output
    assert "accepted" in output
    (study,) = orthanc.ask("/studies?expand")
    assert len(study["Series"]) > 2
    for secret in (PATIENT, POISON_NAME):
        assert secret not in output + errors + node.log.read_text()


def test_what_is_here_is_analysed_again_only_if_asked(pacs):
    """By accession number and by study; a stopped node is told, with what would still work."""
    node, _ = pacs
    node.start()
    code, output, errors = pull(node, "--accession", "A-77", "--by", "get", "--no-wait")
    assert code == 0, output + errors

    code, output, _ = pull(node, "--study", STUDY, "--json")
    first = json.loads(output)
    assert (code, first["fetched"]) == (0, [])
    assert [one["step"] for one in first["standings"]] == ["done"]
    code, output, errors = pull(node, "--study", STUDY, "--again")
    assert code == 0, output + errors
    shown = json.loads(node.run("studies", "show", STUDY, "--json").stdout)
    events = [event["kind"] for one in shown["series"] for event in one["timeline"]]
    assert events.count("retried") == 1
    assert pull(node, "--study", "1.2.3")[0] == 1
    assert pull(node, "--study", STUDY, "--by", "post")[0] == 2


def test_a_node_that_is_stopped_cannot_be_moved_to(pacs):
    """C-GET still brings the images into custody, for the next start."""
    node, _ = pacs
    node.start()
    node.stop()
    node.process = None

    code, _, errors = pull(node, PATIENT)
    assert code == 1
    assert "take them with --by get" in errors
    code, output, _ = pull(node, PATIENT, "--by", "get", "--no-wait")
    assert code == 0
    assert "the analysis begins with: ichnode serve" in output
