"""Processes wake one another; a ring is a hint, and nothing breaks where there is none."""

import os
import threading

from node_builders import START, sender

from dicom_node.intake.announced import AnnouncedIntake
from dicom_node.jobs.pipe_bells import PipeBells
from dicom_node.jobs.wake import SILENCE, Topic

PATIENCE_S = 60


def heard_by(bells, topic, ring):
    """Return whether `ring` is heard."""
    heard = threading.Event()
    with bells.listen(topic, heard.set):
        ring()
        return heard.wait(PATIENCE_S)


def test_a_ring_wakes_every_listener_of_its_topic(tmp_path):
    """Two workers listen: one byte would wake one of them, so each has a pipe."""
    ears = [threading.Event(), threading.Event()]
    one, other = PipeBells(tmp_path, "worker-0"), PipeBells(tmp_path, "worker-1")
    with one.listen(Topic.JOBS, ears[0].set), other.listen(Topic.JOBS, ears[1].set):
        PipeBells(tmp_path, "office").ring(Topic.JOBS)

        assert all(ear.wait(PATIENCE_S) for ear in ears)


def test_a_ring_of_another_topic_is_not_heard(tmp_path):
    """The courier sleeps on while workers are called: the later ring comes alone."""
    rings = []
    jobs = threading.Event()
    bells = PipeBells(tmp_path, "office")
    with bells.listen(Topic.RESULTS, lambda: rings.append("results")):
        with bells.listen(Topic.JOBS, jobs.set):
            bells.ring(Topic.JOBS)
            assert jobs.wait(PATIENCE_S)
        assert rings == []


def test_ringing_a_dead_listener_does_nothing(tmp_path):
    """A killed worker leaves its pipe; the one after it takes it again."""
    os.mkfifo(tmp_path / "jobs.worker-0")
    bells = PipeBells(tmp_path, "worker-0")

    bells.ring(Topic.JOBS)

    assert heard_by(bells, Topic.JOBS, lambda: bells.ring(Topic.JOBS))


def test_ringing_without_a_folder_does_nothing(tmp_path):
    """A receiver may run before anybody has listened."""
    PipeBells(tmp_path / "absent", "receiver").ring(Topic.IMAGES)

    assert not (tmp_path / "absent").exists()


def test_a_full_pipe_does_not_hold_up_whoever_rings(tmp_path):
    """A listener that hangs has a full pipe: 64 KiB on Linux, one byte a ring."""
    path = tmp_path / "jobs.worker-0"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    try:
        while True:
            try:
                os.write(reader, b"." * 4096)
            except BlockingIOError:
                break
        PipeBells(tmp_path, "office").ring(Topic.JOBS)
    finally:
        os.close(reader)


def test_something_else_in_the_place_of_a_pipe_is_replaced(tmp_path):
    """A backup that was copied back holds empty files where pipes were."""
    (tmp_path / "jobs.worker-0").write_bytes(b"")
    bells = PipeBells(tmp_path, "worker-0")

    assert heard_by(bells, Topic.JOBS, lambda: bells.ring(Topic.JOBS))


def test_where_there_can_be_no_pipe_work_goes_on(tmp_path, caplog):
    """Some network disks have none; then every process looks by itself."""
    (tmp_path / "bells").write_text("a file, not a folder")
    bells = PipeBells(tmp_path / "bells", "worker-0")

    with bells.listen(Topic.JOBS, lambda: None):
        bells.ring(Topic.JOBS)

    assert "No named pipe for jobs" in caplog.text


def test_a_listener_takes_its_pipe_away(tmp_path):
    """What has ended needs no ring."""
    with PipeBells(tmp_path, "office").listen(Topic.RESULTS, lambda: None):
        assert [path.name for path in tmp_path.iterdir()] == ["results.office"]

    assert list(tmp_path.iterdir()) == []


def test_silence_is_a_bell_that_nobody_hears():
    """Commands and tests put a node together without processes."""
    with SILENCE.listen(Topic.JOBS, lambda: None):
        SILENCE.ring(Topic.JOBS)


def test_the_end_of_an_association_is_announced_once_it_is_recorded():
    """Whoever looks then finds it closed."""
    told = []

    class Recording:
        def accept(self, request):
            told.append(request)

        def association_closed(self, sender, at):
            del sender, at
            told.append("recorded")

    intake = AnnouncedIntake(Recording(), lambda: told.append("announced"))
    intake.accept("request")
    intake.association_closed(sender(), START)

    assert told == ["request", "recorded", "announced"]
