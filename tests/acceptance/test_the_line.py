"""A head CT goes in by C-STORE; captures, segmentation and report come out by C-STORE."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pydicom
import pytest
from acceptance.conftest import head_series
from acceptance.node_process import DEADLINE_S, wait_until
from ct_builder import POISON_BIRTH_DATE, POISON_NAME, Ball

pytestmark = pytest.mark.acceptance

SC = "1.2.840.10008.5.1.4.1.1.7"
SEG = "1.2.840.10008.5.1.4.1.1.66.4"
SR = "1.2.840.10008.5.1.4.1.1.88.34"


def need(program):
    path = shutil.which(program)
    if path is None:
        pytest.skip(f"{program} is not installed (Debian package dcmtk)")
    return path


def final_row(node, series_uid):
    """Return the row of a series once it has come to an end."""

    def ended():
        rows = {row["series_instance_uid"]: row for row in node.rows()}
        row = rows.get(series_uid, {"state": ""})
        ends = {"delivered", "rejected", "set_aside", "failed"}
        return row if row["state"] in ends else None

    return wait_until(ended)


def test_a_series_sent_with_dcmtk_comes_back_as_results(node, archive, tmp_path):
    """The whole line with a foreign sender, then every face of the node tells the same."""
    files = head_series(tmp_path / "ct", seed=1)
    source = pydicom.dcmread(files[0])

    subprocess.run(
        [
            *(need("dcmsend"), "-aet", "DCMSEND", "-aec", "ICHNODE"),
            *("127.0.0.1", str(node.dicom_port), "+sd", str(tmp_path / "ct")),
        ],
        check=True,
        capture_output=True,
    )
    row = final_row(node, source.SeriesInstanceUID)

    received = archive.of_study(source.StudyInstanceUID)
    assert [one.sop_class_uid for one in received] == [SC, SC, SC, SEG, SR]
    for one in received:
        assert pydicom.dcmread(one.path).PatientID == source.PatientID
    assert row["outcome"] == "hematoma_found"
    assert row["volume_ml"] == pytest.approx(Ball().volume_ml, rel=0.05)
    assert 0 < row["door_to_result_s"] < DEADLINE_S
    assert [delivery["state"] for delivery in row["deliveries"]] == ["accepted"] * 5
    assert source.StudyInstanceUID in node.get("/studies")
    assert "hematoma found" in node.get(f"/series/{source.SeriesInstanceUID}")
    assert '"healthy":true' in node.get("/health")
    told = node.log.read_text() + json.dumps(node.rows()) + node.get("/") + node.get("/studies")
    told += "".join(path.read_text() for path in node.folder.rglob("summaries/*/*.json"))
    for secret in (POISON_NAME, str(source.PatientID), POISON_BIRTH_DATE):
        assert secret not in told


def test_a_head_without_hematoma_gets_a_report_alone(node, archive, tmp_path):
    """No hematoma is a finding: the report says so, and nothing is outlined."""
    files = head_series(tmp_path / "ct", seed=2, balls=())
    source = pydicom.dcmread(files[0])

    assert node.send(files)
    row = final_row(node, source.SeriesInstanceUID)

    received = archive.of_study(source.StudyInstanceUID)
    assert [one.sop_class_uid for one in received] == [SR]
    assert (row["state"], row["outcome"]) == ("delivered", "no_hematoma_found")


def test_a_series_that_cannot_be_analysed_says_why(node, archive, tmp_path):
    """A head without its middle is refused with found and needed, and nothing is sent."""
    files = head_series(tmp_path / "ct", seed=3)
    source = pydicom.dcmread(files[0])

    assert node.send(files[:8] + files[22:])
    row = final_row(node, source.SeriesInstanceUID)

    assert row["state"] == "rejected"
    assert "needed" in row["reason"]
    assert archive.of_study(source.StudyInstanceUID) == []


def test_the_same_series_again_makes_nothing_new(node, archive, tmp_path):
    """A PACS that routes a series twice gets its results once."""
    files = head_series(tmp_path / "ct", seed=4, balls=())
    source = pydicom.dcmread(files[0])
    assert node.send(files)
    final_row(node, source.SeriesInstanceUID)

    assert node.send(files)
    follow_up = head_series(tmp_path / "next", seed=5, balls=())
    assert node.send(follow_up)
    final_row(node, pydicom.dcmread(follow_up[0]).SeriesInstanceUID)

    assert len(archive.of_study(source.StudyInstanceUID)) == 1


def test_a_stranger_is_refused_with_the_right_reason(node, tmp_path):
    """A calling AE title that is not listed gets no association."""
    files = head_series(tmp_path / "ct", seed=6)

    done = subprocess.run(
        [
            *(need("storescu"), "-v", "-aet", "STRANGER", "-aec", "ICHNODE"),
            *("127.0.0.1", str(node.dicom_port), str(files[0])),
        ],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode != 0
    assert "Calling AE Title Not Recognized" in done.stdout + done.stderr


def test_a_second_node_on_the_same_data_is_refused(node):
    """Two supervisors would fight for ports and jobs."""
    done = subprocess.run(
        [sys.executable, "-m", "dicom_node", "serve", "--config", str(node.config)],
        capture_output=True,
        text=True,
        check=False,
        timeout=DEADLINE_S,
    )

    assert done.returncode == 1
    assert "another ichnode serve" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_stopped_node_leaves_no_process_behind(node):
    """SIGTERM ends the supervisor in order, and everything it started with it. Runs last."""
    pids = [node.pid_of(role) for role in ("receiver", "worker", "office")]

    assert node.stop() == 0

    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]
    log = node.log.read_text()
    assert "Traceback" not in log
    assert "Fatal" not in log
