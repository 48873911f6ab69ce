"""Whatever is killed in the middle of the work: every acknowledged series has one result set."""

import threading
from collections import Counter

import pydicom
import pytest
from acceptance.conftest import head_series
from acceptance.node_process import wait_until

from dicom_node.errors import PeerError

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(900)]

SERIES = 20
SC = "1.2.840.10008.5.1.4.1.1.7"
SEG = "1.2.840.10008.5.1.4.1.1.66.4"
SR = "1.2.840.10008.5.1.4.1.1.88.34"


class Modality(threading.Thread):
    """Sends series after series; one that was not wholly acknowledged is sent again."""

    def __init__(self, node, series):
        super().__init__(daemon=True)
        self.node = node
        self.series = series
        self.acknowledged = 0
        self.interrupted = 0

    def run(self):
        for files in self.series:
            while not self._sent(files):
                self.interrupted += 1
                threading.Event().wait(0.3)
            self.acknowledged += 1

    def _sent(self, files):
        try:
            return self.node.send(files)
        except PeerError:
            return False


def analyzing(node):
    """Return how many series a worker has in hand."""
    return sum(row["state"] == "analyzing" for row in node.rows())


def test_every_acknowledged_series_has_exactly_one_result_set(node, archive, tmp_path):
    """Receiver, worker, office and supervisor die by SIGKILL while 20 series are under way."""
    series = [head_series(tmp_path / f"ct{number}", seed=number) for number in range(SERIES)]
    modality = Modality(node, series)
    modality.start()

    wait_until(lambda: modality.acknowledged >= 1, timeout_s=300)
    node.kill_role("receiver")
    wait_until(lambda: analyzing(node), timeout_s=300)
    node.kill_role("worker")
    archive.wait_for(1, timeout_s=300)
    node.kill_role("office")
    wait_until(lambda: modality.acknowledged >= SERIES // 2, timeout_s=300)
    node.kill()
    node.start()
    modality.join(300)
    assert modality.acknowledged == SERIES
    wait_until(
        lambda: [row["state"] for row in node.rows()] == ["delivered"] * SERIES,
        timeout_s=500,
    )

    received = archive.distinct().values()
    assert Counter(one.sop_class_uid for one in received) == {
        SC: 3 * SERIES,
        SEG: SERIES,
        SR: SERIES,
    }
    per_study = Counter(
        (pydicom.dcmread(one.path, stop_before_pixels=True).StudyInstanceUID, one.sop_class_uid)
        for one in received
    )
    assert set(Counter(study for study, _ in per_study).values()) == {3}
    assert {count for (_, kind), count in per_study.items() if kind == SR} == {1}
    assert "Traceback" not in node.log.read_text()
