"""Somebody names a study; the node fetches it from Orthanc and analyses it."""

import itertools
import json
from dataclasses import dataclass

import pytest
from acceptance.node_process import NodeProcess
from acceptance.orthanc_process import Orthanc
from ct_builder import POISON_NAME, Ball, build_ct_series, save_series

from dicom_node.association.peers import Peer
from dicom_node.association.storage_scu import outgoing_file, send_files

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(600)]

STUDIES = "1.2.826.0.1.3680043.8.498.881"

#: A study for each test.
NUMBERS = itertools.count(1)


@dataclass(frozen=True, kw_only=True)
class Study:
    """A head CT of 30 slices and its topogram, which Orthanc has and the node has not."""

    number: int

    @property
    def patient(self):
        return f"POISON-PULL-{self.number}"

    @property
    def accession(self):
        return f"A-{self.number}"

    @property
    def uid(self):
        return f"{STUDIES}.{self.number}"

    def save(self, folder):
        """Write the images; return their files."""
        common = {"patient_id": self.patient, "study_uid": self.uid}
        balls = (Ball(radius_mm=15.0),)
        head = build_ct_series(
            slices=30, shape_yx=(96, 96), balls=balls, noise_hu=3.0, seed=2 * self.number, **common
        )
        scout = build_ct_series(slices=1, shape_yx=(64, 64), seed=2 * self.number + 1, **common)
        for image in (*head, *scout):
            image.AccessionNumber = self.accession
        for image in scout:
            image.SeriesDescription = "Topogram"
        return [*save_series(head, folder / "head"), *save_series(scout, folder / "scout")]


@pytest.fixture(scope="module")
def pacs(folder):
    """Return a node that runs, and its PACS, an Orthanc; the tests have studies of their own."""
    node = NodeProcess(folder, pacs_port=0, pacs_title="ORTHANC")
    orthanc = Orthanc(folder / "orthanc", node_port=node.dicom_port)
    text = node.config.read_text().replace("port = 0\n", f"port = {orthanc.dicom_port}\n")
    node.config.write_text(text.replace('"MODALITY"]', '"MODALITY", "ORTHANC"]'))
    node.start()
    yield node, orthanc
    if node.process.poll() is None:
        node.stop()
    orthanc.stop()


@pytest.fixture
def study(pacs, tmp_path):
    """Return a study that the Orthanc has."""
    _, orthanc = pacs
    study = Study(number=next(NUMBERS))
    archive = Peer(
        name="pacs",
        ae_title="ORTHANC",
        host="127.0.0.1",
        port=orthanc.dicom_port,
        calling_ae_title="MODALITY",
    )
    outcomes = send_files(archive, [outgoing_file(path) for path in study.save(tmp_path)])
    assert all(one.accepted for one in outcomes)
    return study


def pull(node, *words, stdin=""):
    """Run ``ichnode pull``; return exit code, output and errors."""
    done = node.run("pull", *words, "--from", "pacs", stdin=stdin)
    return done.returncode, done.stdout, done.stderr


def test_without_a_node_nothing_is_pulled(tmp_path):
    """There is nobody to analyse anything; the command that starts one is named."""
    code, _, told = pull(NodeProcess(tmp_path, pacs_port=1), "POISON-PULL")

    assert (code, "start one: ichnode serve" in told) == (1, True)


@pytest.mark.parametrize("by", ["move", "get"])
def test_a_study_is_pulled_analysed_and_sent_back(pacs, study, by):
    """By Patient ID from standard input; the topogram stays, and says why; no name in the log."""
    node, orthanc = pacs

    code, output, errors = pull(node, "-", "--by", by, stdin=f"{study.patient}\n")

    assert code == 0, output + errors + node.log.read_text()
    assert "excluded by rule: description matches" in output
    assert "30 images of 1 series fetched" in output
    assert "hematoma found" in output
    assert "pacs: " in output
    assert "accepted" in output
    (kept,) = [
        one
        for one in orthanc.ask("/studies?expand")
        if one["MainDicomTags"]["StudyInstanceUID"] == study.uid
    ]
    assert len(kept["Series"]) > 2
    for secret in (study.patient, POISON_NAME):
        assert secret not in output + errors + node.log.read_text()


def test_what_is_here_is_analysed_again_only_if_asked(pacs, study):
    """By accession number and by study; what is wrong is told."""
    node, _ = pacs
    code, output, errors = pull(node, "--accession", study.accession, "--by", "get", "--no-wait")
    assert code == 0, output + errors

    code, output, _ = pull(node, "--study", study.uid, "--json")
    first = json.loads(output)
    assert (code, first["fetched"]) == (0, [])
    assert [one["step"] for one in first["standings"]] == ["done"]
    code, output, errors = pull(node, "--study", study.uid, "--again")
    assert code == 0, output + errors
    shown = json.loads(node.run("studies", "show", study.uid, "--json").stdout)
    events = [event["kind"] for one in shown["series"] for event in one["timeline"]]
    assert events.count("retried") == 1
    assert pull(node, "--study", "1.2.3")[0] == 1
    assert pull(node, "--study", study.uid, "--by", "post")[0] == 2


def test_a_node_that_is_stopped_cannot_be_moved_to(pacs, study):
    """C-GET still brings the images into custody, for the next start. Runs last."""
    node, _ = pacs
    node.stop()

    code, _, errors = pull(node, study.patient)
    assert code == 1
    assert "take them with --by get" in errors
    code, output, _ = pull(node, study.patient, "--by", "get", "--no-wait")
    assert code == 0
    assert "the analysis begins with: ichnode serve" in output
