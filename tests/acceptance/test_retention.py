"""Nothing is purged before the PACS has committed itself, everything after: with Orthanc."""

import json

import pydicom
import pytest
from acceptance.conftest import head_series
from acceptance.node_process import NodeProcess, wait_until
from acceptance.orthanc_process import Orthanc

pytestmark = pytest.mark.acceptance

RETENTION = """
[follow_up]
enabled = false

[retention]
enabled = true
analysed_days = 0.000001
results_days = 0.000001
summaries_days = 0.000001
emergency_free_mb = 0
"""


def change(node, old, new):
    """Write another setting; the node takes it while it works."""
    text = node.config.read_text()
    assert old in text
    node.config.write_text(text.replace(old, new))


def files(node):
    """Return everything that a purge may take."""
    data = node.folder / "data"
    found = [
        *data.glob("spool/*/*.dcm"),
        *data.glob("outbox/*/*.dcm"),
        *data.glob("summaries/*/*"),
    ]
    return sorted(str(path.relative_to(data)) for path in found)


def test_nothing_goes_before_the_commitment_and_everything_after(tmp_path):
    """Orthanc takes the results, but at first may not report that it committed itself."""
    images = head_series(tmp_path / "ct", seed=33)
    study = str(pydicom.dcmread(images[0]).StudyInstanceUID)
    node = NodeProcess(tmp_path, pacs_port=0, pacs_title="ORTHANC")
    orthanc = Orthanc(tmp_path / "orthanc", node_port=node.dicom_port)
    change(node, "port = 0\n", f"port = {orthanc.dicom_port}\n")
    change(node, "receives_results = true", "receives_results = true\ncommitment = true")
    change(node, "[delivery]", "[delivery]\ncommitment_answer_s = 5.0\ncommitment_attempts = 900")
    node.config.write_text(node.config.read_text() + RETENTION)
    node.start()
    try:
        assert node.send(images)
        wait_until(
            lambda: (
                (rows := node.rows())
                and rows[0]["deliveries"]
                and {one["state"] for one in rows[0]["deliveries"]} == {"accepted"}
            )
        )
        before = files(node)
        planned = json.loads(node.run("retention", "plan", "--json").stdout)
        refused = node.run("purge", "--study", study, "--yes")
        kept = files(node)

        change(node, '"MODALITY"]', '"MODALITY", "ORTHANC"]')
        wait_until(lambda: [row["state"] for row in node.rows()] == ["delivered"], timeout_s=200)
        change(node, "summaries_days = 0.000001", "summaries_days = 0.000002")
        wait_until(lambda: not files(node), timeout_s=200)
        (row,) = wait_until(node.rows)
        verified = node.run("verify")
        assert node.send(images)
        back = files(node)
    finally:
        node.stop()
        orthanc.stop()

    assert len(before) >= 30 + 5 + 3
    assert kept == before
    assert planned["by_age"] == []
    assert "a destination has not committed itself to the results" in {
        one["why"] for one in planned["kept"]
    }
    assert refused.returncode == 1
    assert row["purged_at"]
    assert row["outcome"] == "hematoma_found"
    assert verified.returncode == 0, verified.stdout
    assert len([name for name in back if name.startswith("spool")]) == 30
