"""The worker, with fakes around it."""

import threading
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from node_builders import START, FakeAnalyst, MemoryStore, wait_for

from dicom_node.errors import LedgerUnavailableError, LostLeaseError, OutboxError
from dicom_node.jobs.retry import RetryPolicy
from dicom_node.jobs.routing import Route
from dicom_node.jobs.task import AnalysisTask, Claim, Rejected
from dicom_node.jobs.wake import Silence, Topic
from dicom_node.jobs.worker import JobRules, Worker
from pipeline.errors import ModelBundleError, SeriesRejectedError
from pipeline.rejection import RejectionCode, RejectionReason

RULES = JobRules(lease_s=60, time_limit_s=600, retry=RetryPolicy(max_attempts=3, first_delay_s=30))
TASK = AnalysisTask(
    job_id=1,
    series_instance_uid="1.2.3",
    study_instance_uid="1.2",
    input_digest="abcdef0123456789",
    files=(Path("image.dcm"),),
    arrival_flags=frozenset(),
    predecessors=(),
)
REJECTION = RejectionReason(code=RejectionCode.GAP, found="a gap of 40 mm", needed="20 mm")


class FakeQueue:
    """Hands out one job and writes down what becomes of it."""

    def __init__(self, attempts: int = 1) -> None:
        self.waiting = [
            Claim(
                task=TASK,
                worker="worker-0",
                token=1,
                attempts=attempts,
                lease_until=START + timedelta(seconds=60),
                deadline_at=START + timedelta(seconds=600),
            )
        ]
        self.ends = []
        self.steps = []
        self.beats = threading.Event()
        self.is_lost = False
        self.is_away = False

    def claim(self, worker, *, now, lease_s, time_limit_s):
        del worker, now, lease_s, time_limit_s
        if self.is_away:
            raise LedgerUnavailableError("injected")
        return self.waiting.pop() if self.waiting else None

    def renew(self, claim, *, now, lease_s):
        del claim, now, lease_s
        self.beats.set()
        self._check()

    def note_step(self, claim, step, *, now):
        del claim, now
        self._check()
        self.steps.append(step)

    def complete(self, claim, objects, **facts):
        del claim
        self._check()
        self.ends.append(("complete", len(objects), facts))

    def reject(self, claim, reason, *, record, now, leaflet):
        del claim, record, now, leaflet
        self._check()
        self.ends.append(("reject", reason))

    def fail(self, claim, reason, *, again_at, now):
        del claim, now
        self._check()
        self.ends.append(("fail", reason, again_at))

    def _check(self):
        if self.is_lost:
            raise LostLeaseError("injected")


@pytest.fixture
def work(tmp_path, clock):
    """Return a function that runs one job and returns the queue it came from."""
    (tmp_path / "image.dcm").write_bytes(b"12345")

    def run(analyst, *, queue=None, rules=RULES, store=None, on_overrun=lambda: None):
        queue = queue or FakeQueue()
        Worker(
            name="worker-0",
            queue=queue,
            spool_root=tmp_path,
            analyst=analyst,
            store=store or MemoryStore(),
            destinations=(Route(name="pacs"), Route(name="archive")),
            rules=rules,
            clock=clock,
            on_overrun=on_overrun,
        ).work_once()
        return queue

    return run


def test_results_are_stored_before_the_ledger_says_so(work):
    """Objects, digests, destinations and record go into one call."""
    store = MemoryStore()

    queue = work(FakeAnalyst(), store=store)

    ((end, count, facts),) = queue.ends
    assert (end, count, len(store.objects)) == ("complete", 3, 3)
    assert facts["model_digest"] == "model-1"
    assert facts["configuration_digest"] == "configuration-1"
    assert facts["destinations"] == ("pacs", "archive")
    assert facts["record"] == {"bytes": 5}
    assert queue.steps == ["segment"]


def test_a_rejection_is_a_result(work):
    """Returned or raised, the reason stands in the ledger, and nothing is tried again."""
    for analyst in (
        FakeAnalyst(Rejected(reason=REJECTION.message)),
        FakeAnalyst(SeriesRejectedError(REJECTION)),
    ):
        assert work(analyst).ends == [
            ("reject", "gap: found a gap of 40 mm; needed 20 mm"),
        ]


def test_a_fault_is_tried_again_later(work):
    """Anything unforeseen may pass; its message is not quoted."""
    ((end, reason, again_at),) = work(FakeAnalyst(RuntimeError("POISON^DONOTLOG"))).ends

    assert end == "fail"
    assert reason.startswith("RuntimeError in analyze, line ")
    assert again_at == START + timedelta(seconds=30)


def test_the_last_attempt_is_the_last(work):
    """After three attempts nobody tries again by itself."""
    queue = work(FakeAnalyst(RuntimeError()), queue=FakeQueue(attempts=3))

    assert queue.ends[0][2] is None


def test_an_error_that_would_come_again_fails_at_once(work):
    """Altered weights do not mend themselves; their message is shown."""
    queue = work(FakeAnalyst(ModelBundleError("digest differs")))

    assert queue.ends == [("fail", "digest differs", None)]


def test_bootstrap_may_name_more_permanent_errors(work):
    """The results package has errors that this room must not know."""
    rules = replace(RULES, permanent_errors=(ZeroDivisionError,))

    queue = work(FakeAnalyst(ZeroDivisionError("always")), rules=rules)

    assert queue.ends == [("fail", "always", None)]


def test_a_full_outbox_is_tried_again(work):
    """No row without a file."""

    class FullStore:
        def store(self, objects):
            del objects
            raise OutboxError("The outbox cannot write: No space left on device")

    ((end, reason, again_at),) = work(FakeAnalyst(), store=FullStore()).ends

    assert (end, reason) == ("fail", "The outbox cannot write: No space left on device")
    assert again_at is not None


def test_a_worker_that_lost_its_lease_drops_everything(work):
    """Neither a result nor a failure of it counts."""
    for analyst in (
        FakeAnalyst(),
        FakeAnalyst(Rejected(reason="no")),
        FakeAnalyst(SeriesRejectedError(REJECTION)),
        FakeAnalyst(RuntimeError()),
    ):
        queue = FakeQueue()
        queue.is_lost = True

        assert work(analyst, queue=queue).ends == []


def test_the_heart_beats_while_the_analysis_runs(work):
    """An analysis longer than the lease keeps it."""

    class LongAnalyst(FakeAnalyst):
        def analyze(self, task, *, on_step):
            assert queue.beats.wait(60)
            return super().analyze(task, on_step=on_step)

    queue = FakeQueue()
    work(LongAnalyst(), queue=queue, rules=replace(RULES, lease_s=0.03))

    assert queue.ends[0][0] == "complete"


def test_an_analysis_beyond_its_time_is_ended(work, clock):
    """The ledger is told first, then the process ends; here it only notes that it should."""
    over = threading.Event()

    class HungAnalyst(FakeAnalyst):
        def analyze(self, task, *, on_step):
            clock.turn(601)
            assert over.wait(60)
            queue.is_lost = True  # as the real ledger would have it after the failure
            return super().analyze(task, on_step=on_step)

    queue = FakeQueue()
    work(
        HungAnalyst(),
        queue=queue,
        rules=replace(RULES, lease_s=0.03),
        on_overrun=over.set,
    )

    ((end, reason, again_at),) = queue.ends
    assert (end, reason) == ("fail", "the analysis took longer than 600 s")
    assert again_at is not None


def test_run_survives_a_ledger_that_is_away_and_stops_when_told(tmp_path, clock):
    """A database that restarts does not end the workers."""
    (tmp_path / "image.dcm").write_bytes(b"12345")
    queue = FakeQueue()
    queue.is_away = True
    stop = threading.Event()
    worker = Worker(
        name="worker-0",
        queue=queue,
        spool_root=tmp_path,
        analyst=FakeAnalyst(),
        store=MemoryStore(),
        destinations=(),
        rules=RULES,
        clock=clock,
        on_overrun=lambda: None,
        poll_s=0.01,
    )
    thread = threading.Thread(target=worker.run, args=(stop,))
    thread.start()

    queue.is_away = False
    wait_for(lambda: bool(queue.ends))
    stop.set()
    thread.join(10)

    assert not thread.is_alive()


def test_a_call_ends_the_pause_of_a_worker(tmp_path, clock):
    """A worker that would look once an hour takes a job as soon as it is called, and rings."""
    (tmp_path / "image.dcm").write_bytes(b"12345")
    queue = FakeQueue()
    queue.waiting, later = [], queue.waiting
    looked, rings, stop = threading.Event(), [], threading.Event()
    claim = queue.claim
    queue.claim = lambda *names, **facts: claim(*names, **facts) or looked.set()
    bells = Silence()
    bells.ring = rings.append
    worker = Worker(
        name="worker-0",
        queue=queue,
        spool_root=tmp_path,
        analyst=FakeAnalyst(),
        store=MemoryStore(),
        destinations=(),
        rules=RULES,
        clock=clock,
        on_overrun=lambda: None,
        bells=bells,
        poll_s=3600,
    )
    thread = threading.Thread(target=worker.run, args=(stop,))
    thread.start()
    assert looked.wait(60)

    queue.waiting += later
    worker.wake()
    wait_for(lambda: bool(queue.ends))
    stop.set()
    thread.join(60)

    assert not thread.is_alive()
    assert rings == [Topic.RESULTS]


@pytest.mark.parametrize("wrong", [{"lease_s": 0}, {"time_limit_s": -1}])
def test_rules_without_sense_cannot_be_built(wrong):
    """Each time has a bound."""
    with pytest.raises(ValueError, match="must be positive"):
        JobRules(**wrong)
