"""Tasks from a worklist server, from claim to completion, by real processes.

The server (`ups_server`) is as strict as PS3.4, annex CC; it gives the images by WADO-RS, too.
"""

import json
from contextlib import contextmanager

import pydicom
import pytest
from acceptance.conftest import Archive, head_series
from acceptance.node_process import NodeProcess, wait_until
from ct_builder import POISON_NAME
from ups_server import PERFORMED, UpsServer, element, value_of, workitem

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(600)]

CT = "1.2.840.10008.5.1.4.1.1.2"

_WORKLIST = """
[[worklists]]
name = "tasks"
url = "http://127.0.0.1:{port}/dicom-web"
codes = ["ICH-CT"]
images_from = "{images_from}"
poll_s = 1.0
longest_wait_s = 2.0
images_limit_s = 600.0

[assembly]
"""

#: A busy machine is waited for.
PATIENCE_S = 200


class Place:
    """A node, an archive and a worklist server."""

    def __init__(self, folder, server, port, images_from):
        self.folder, self.server = folder, server
        self.archive = Archive(folder / "pacs")
        self.archive.scp.start()
        self.node = NodeProcess(folder, pacs_port=self.archive.scp.port)
        text = self.node.config.read_text()
        block = _WORKLIST.format(port=port, images_from=images_from)
        self.node.config.write_text(text.replace("\n[assembly]\n", block))

    def order(self, uid, files, **changes):
        """Put a series on the server and a workitem about it onto its list."""
        source = pydicom.dcmread(files[0], stop_before_pixels=True)
        study, series = source.StudyInstanceUID, source.SeriesInstanceUID
        self.server.images[(study, series)] = [path.read_bytes() for path in files]
        self.server.add(workitem(uid, study=study, series=[(series, CT)], **changes))
        return study

    def wait_for(self, uid, state):
        states = {state, "COMPLETED", "CANCELED"}
        wait_until(lambda: self.server.state(uid) in states, timeout_s=PATIENCE_S)
        assert state in {self.server.state(uid), "IN PROGRESS"}, self.server.items[uid]["00741002"]

    def rows(self):
        """Return every series as ``ichnode status`` tells it."""
        return json.loads(self.node.run("status", "--json").stdout)["series"]

    def outputs(self, uid):
        """Return the SOP Instance UIDs that a completed workitem names."""
        performed = value_of(self.server.items[uid], PERFORMED)
        return {
            value_of(one, "00081155")
            for item in performed["00404033"]["Value"]
            for one in item["00081199"]["Value"]
        }

    def stop(self):
        if self.node.process is not None and self.node.process.poll() is None:
            self.node.stop()
        self.archive.scp.stop()


@contextmanager
def standing(folder, images_from):
    """Give a place with a server of its own, whose node is not started."""
    server = UpsServer()
    with server.listening() as port:
        place = Place(folder, server, port, images_from)
        try:
            yield place
        finally:
            place.stop()


@pytest.fixture(scope="module")
def place(folder):
    """Return a place whose node runs; the tests have workitems of their own."""
    with standing(folder, "web") as place:
        place.node.start()
        yield place


@pytest.fixture
def routed(tmp_path):
    """Return a place where images come by C-STORE alone."""
    with standing(tmp_path, "") as place:
        yield place


def test_a_task_is_performed_from_the_list_to_the_results(place, tmp_path):
    """Images by WADO-RS, results by C-STORE, references in the workitem, in one pass."""
    server = place.server
    files = head_series(tmp_path / "ct", seed=71)
    study = place.order("1.2.71.1", files, t00741200=element("CS", "HIGH"))

    place.wait_for("1.2.71.1", "COMPLETED")

    delivered = place.archive.of_study(study)
    assert place.outputs("1.2.71.1") == {one.sop_instance_uid for one in delivered}
    assert len(delivered) == 5
    assert [state for _, state in server.history] == ["IN PROGRESS", "COMPLETED"]
    assert server.refusals == []
    (row,) = place.rows()
    assert row["urgency"] == "priority HIGH in a workitem"
    told = json.loads(place.node.run("worklist", "--json").stdout)
    assert [one["state"] for one in told["workitems"]] == ["completed"]
    assert "completed" in place.node.run("worklist").stdout
    said = place.node.log.read_text() + json.dumps(told)
    for secret in ("POISON^WORKLIST", "POISON-4711", POISON_NAME, "POISON71"):
        assert secret not in said


def test_a_kill_between_claim_and_completion_loses_nothing(place, tmp_path):
    """The office dies with a claim in hand, then the whole node; each task ends once.

    The first claim is never answered, so that the node has to find out whose it is.
    """
    server = place.server
    files = [head_series(tmp_path / f"ct{number}", seed=80 + number) for number in range(2)]
    before = len(server.history)
    server.drop = {"state"}
    study = place.order("1.2.72.1", files[0])
    place.wait_for("1.2.72.1", "IN PROGRESS")
    key = server.keys["1.2.72.1"]
    place.node.kill_role("office")
    place.wait_for("1.2.72.1", "COMPLETED")
    assert server.keys["1.2.72.1"] == key

    second = place.order("1.2.72.2", files[1])
    place.wait_for("1.2.72.2", "IN PROGRESS")
    place.node.kill()
    place.node.start()
    place.wait_for("1.2.72.2", "COMPLETED")

    changes = list(server.history[before:])
    assert sorted(changes) == [
        (uid, state) for uid in ("1.2.72.1", "1.2.72.2") for state in ("COMPLETED", "IN PROGRESS")
    ]
    for uid, study_uid in (("1.2.72.1", study), ("1.2.72.2", second)):
        sent = {one.sop_instance_uid for one in place.archive.of_study(study_uid)}
        assert place.outputs(uid) == sent
        assert len(sent) == 5


def test_a_list_that_is_down_never_hinders_the_line(routed, tmp_path):
    """Routed images are analysed and delivered; the task about them is completed afterwards."""
    place, server = routed, routed.server
    server.status = 503
    files = head_series(tmp_path / "ct", seed=91)
    study = place.order("1.2.73.1", files)
    place.node.start()
    assert place.node.send(files)
    wait_until(
        lambda: [row["state"] for row in place.node.rows()] == ["delivered"],
        timeout_s=PATIENCE_S,
    )
    assert "has not answered" in place.node.run("worklist").stdout
    before = len(place.archive.of_study(study))

    server.status = None
    place.wait_for("1.2.73.1", "COMPLETED")

    assert len(place.archive.of_study(study)) == before == 5
    assert len(place.outputs("1.2.73.1")) == 5
