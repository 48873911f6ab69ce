"""The worker: takes a job, has it analysed, puts the results where they cannot be lost."""

import logging
import threading
from collections.abc import Callable, Sequence
from contextvars import copy_context
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from dicom_node.errors import LedgerError, LostLeaseError, NodeError, describe_error, stack_of
from dicom_node.jobs.idle_work import IDLENESS, IdleWork
from dicom_node.jobs.planning import NO_PLANS, PlanningRules
from dicom_node.jobs.queue import JobQueue
from dicom_node.jobs.retry import RetryPolicy, next_attempt
from dicom_node.jobs.routing import Route, destinations_for
from dicom_node.jobs.task import (
    AnalysisOutcome,
    AnalysisTask,
    Analyzed,
    Claim,
    Leaflet,
    Rejected,
    ResultObject,
    StoredObject,
)
from dicom_node.jobs.wake import SILENCE, Bells, Topic
from dicom_node.trace import tracing
from pipeline.errors import PipelineError, SeriesRejectedError

LOGGER = logging.getLogger(__name__)

#: How long the end of a job may follow its last row in the ledger.
_FAREWELL_S = 1.0

#: Beats per lease: two may be lost before the lease is.
_BEATS_PER_LEASE = 3


class Analyst(Protocol):
    """Whatever turns the files of a task into results; warm models live in it."""

    @property
    def model_digest(self) -> str:
        """Digest of the weights."""

    @property
    def configuration_digest(self) -> str:
        """Digest of whatever else changes a result."""

    def analyze(self, task: AnalysisTask, *, on_step: Callable[[str], None]) -> AnalysisOutcome:
        """Return results, or why there can be none. May raise SeriesRejectedError for that.

        What is asked for says `task.kind`.
        """


class ResultStore(Protocol):
    """Whatever makes result objects durable."""

    def store(self, objects: Sequence[ResultObject]) -> tuple[StoredObject, ...]:
        """Write every object, or raise OutboxError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRules:
    """How long and how often a job is tried.

    Attributes
    ----------
    lease_s : float
        A worker that was not heard of for so long has lost its job.
    time_limit_s : float
        An analysis that takes longer is ended.
    retry : RetryPolicy
        Attempts and waits.
    permanent_errors : tuple of exception types
        Errors that a repeat would raise again: the job fails at once. Their messages are shown,
        so they must be free of patient attributes.

    Raises
    ------
    ValueError
        If a time is not positive.
    """

    lease_s: float = 60.0
    time_limit_s: float = 900.0
    retry: RetryPolicy = field(
        default_factory=lambda: RetryPolicy(max_attempts=3, first_delay_s=30.0, cap_s=600.0)
    )
    permanent_errors: tuple[type[Exception], ...] = (PipelineError,)

    def __post_init__(self) -> None:
        for name in ("lease_s", "time_limit_s"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")


class Worker:
    """Works off jobs one after the other.

    The analysis runs in this process, where the models are warm. A thread renews the lease. When
    an analysis exceeds its time limit, that thread notes the failure and calls `on_overrun`,
    which is meant to end the process: nothing else stops a hung library, and the supervisor
    starts a fresh worker. Were even that thread stuck, the lease runs out and the office takes
    the job away; the token of the claim keeps the old worker from doing anything with it.

    Parameters
    ----------
    name
        Who claims.
    queue
        Where jobs wait.
    spool_root
        Folder of the received files.
    analyst
        Does the analysis.
    store
        Makes the results durable.
    destinations
        Who may be sent the results, and which of them.
    rules
        Times and attempts.
    clock
        Returns the present as an aware time.
    on_overrun
        Called when the time limit is exceeded, after the job was given up.
    plans
        What follows an analysis that has results.
    bells
        Rung when there are results to be delivered.
    idle
        What is done while no job waits.
    settle_in
        Called each time before work is looked for, by the thread that works.
    poll_s
        Longest pause when nothing waits; `wake` ends it.
    """

    def __init__(  # noqa: PLR0913 - the worker's whole world, put together by bootstrap
        self,
        *,
        name: str,
        queue: JobQueue,
        spool_root: Path,
        analyst: Analyst,
        store: ResultStore,
        destinations: Sequence[Route],
        rules: JobRules,
        clock: Callable[[], datetime],
        on_overrun: Callable[[], None],
        plans: PlanningRules = NO_PLANS,
        bells: Bells = SILENCE,
        idle: IdleWork = IDLENESS,
        settle_in: Callable[[], None] = lambda: None,
        poll_s: float = 0.5,
    ) -> None:
        self._name = name
        self._queue = queue
        self._spool_root = spool_root
        self._analyst = analyst
        self._store = store
        self._destinations = destinations
        self._rules = rules
        self._clock = clock
        self._on_overrun = on_overrun
        self._plans = plans
        self._bells = bells
        self._idle = idle
        self._settle_in = settle_in
        self._poll_s = poll_s
        self._waker = threading.Event()

    def wake(self) -> None:
        """Look for a job now; may be called from any thread."""
        self._waker.set()

    def run(self, stop: threading.Event) -> None:
        """Work until `stop` is set; the job in hand is finished."""
        threading.Thread(
            target=self._wake_at, args=(stop,), name="worker-stop", daemon=True
        ).start()
        while not stop.is_set():
            self._waker.clear()
            stop.wait(self._idle.pause_s())
            self._settle_in()
            try:
                busy = self.work_once() or (not stop.is_set() and self._idle.run(stop.is_set))
            except LedgerError as error:
                LOGGER.error("%s cannot reach the ledger: %s", self._name, error)  # noqa: TRY400
                busy = False
            if not busy and not stop.is_set():
                self._waker.wait(self._poll_s)

    def _wake_at(self, stop: threading.Event) -> None:
        stop.wait()
        self.wake()

    def work_once(self) -> bool:
        """Take one job to its end; return whether there was one. Raises LedgerError."""
        claim = self._queue.claim(
            self._name,
            now=self._clock(),
            lease_s=self._rules.lease_s,
            time_limit_s=self._rules.time_limit_s,
        )
        if claim is None:
            return False
        self._idle.begun(claim.task.series_instance_uid)
        with tracing(claim.task.association_id):
            self._work(claim)
        self._idle.ended(claim.task.series_instance_uid)
        return True

    def _work(self, claim: Claim) -> None:
        LOGGER.info("%s begins job %s", self._name, claim.task.job_id)
        try:
            with _HeartBeat(self._queue, claim, self._rules, self._clock, self._on_overrun):
                self._finish(claim, self._analyze(claim))
        except LostLeaseError as error:
            LOGGER.warning("%s drops its results: %s", self._name, error)
        except SeriesRejectedError as error:
            self._end(claim, Rejected(reason=str(error)))
        except Exception as error:  # noqa: BLE001 - second of three: a job must end in a state
            LOGGER.error("Job %s failed: %s", claim.task.job_id, stack_of(error))  # noqa: TRY400
            self._give_back(claim, error)

    def _analyze(self, claim: Claim) -> AnalysisOutcome:
        task = _below(self._spool_root, claim.task)

        def on_step(step: str) -> None:
            self._queue.note_step(claim, step, now=self._clock())

        return self._analyst.analyze(task, on_step=on_step)

    def _finish(self, claim: Claim, outcome: AnalysisOutcome) -> None:
        if isinstance(outcome, Rejected):
            self._end(claim, outcome)
            return
        self._complete(claim, outcome, self._store.store(outcome.objects))

    def _complete(self, claim: Claim, outcome: Analyzed, stored: Sequence[StoredObject]) -> None:
        self._queue.complete(
            claim,
            stored,
            model_digest=outcome.model_digest or self._analyst.model_digest,
            configuration_digest=(
                outcome.configuration_digest or self._analyst.configuration_digest
            ),
            destinations=destinations_for(
                self._destinations,
                record=outcome.record,
                calling_ae_title=claim.task.calling_ae_title,
            ),
            record=outcome.record,
            now=self._clock(),
            plans=self._plans,
        )
        self._bells.ring(Topic.RESULTS)
        LOGGER.info("Job %s has %s results", claim.task.job_id, len(stored))

    def _end(self, claim: Claim, rejected: Rejected) -> None:
        leaflet = self._leaflet(claim, rejected) if rejected.objects else None
        try:
            self._queue.reject(
                claim,
                rejected.reason,
                record=rejected.record,
                now=self._clock(),
                leaflet=leaflet,
            )
            self._bells.ring(Topic.RESULTS)
            LOGGER.info("Job %s: series rejected", claim.task.job_id)
        except LostLeaseError as error:
            LOGGER.warning("%s drops its rejection: %s", self._name, error)

    def _leaflet(self, claim: Claim, rejected: Rejected) -> Leaflet:
        """Return what is sent although there is no result."""
        return Leaflet(
            objects=tuple(self._store.store(rejected.objects)),
            model_digest=self._analyst.model_digest,
            configuration_digest=self._analyst.configuration_digest,
            destinations=destinations_for(
                self._destinations,
                record=rejected.record,
                calling_ae_title=claim.task.calling_ae_title,
            ),
        )

    def _give_back(self, claim: Claim, error: Exception) -> None:
        trusted: tuple[type[Exception], ...] = (
            NodeError,
            PipelineError,
            *self._rules.permanent_errors,
        )
        again_at = next_attempt(self._rules.retry, failures=claim.attempts, now=self._clock())
        if isinstance(error, self._rules.permanent_errors):
            again_at = None
        try:
            self._queue.fail(
                claim,
                describe_error(error, trusted=trusted),
                again_at=again_at,
                now=self._clock(),
            )
        except LostLeaseError as lost:
            LOGGER.warning("%s drops its failure: %s", self._name, lost)


def _below(spool_root: Path, task: AnalysisTask) -> AnalysisTask:
    """Return the task with paths that can be opened."""
    files = tuple(spool_root / path for path in task.files)
    if task.baseline is None:
        return replace(task, files=files)
    earlier = tuple(spool_root / path for path in task.baseline.files)
    return replace(task, files=files, baseline=replace(task.baseline, files=earlier))


class _HeartBeat:
    """Renews a lease in the background until the job is done or its time is up."""

    def __init__(
        self,
        queue: JobQueue,
        claim: Claim,
        rules: JobRules,
        clock: Callable[[], datetime],
        on_overrun: Callable[[], None],
    ) -> None:
        self._queue = queue
        self._claim = claim
        self._rules = rules
        self._clock = clock
        self._on_overrun = on_overrun
        self._done = threading.Event()
        traced = partial(copy_context().run, self._run)
        self._thread = threading.Thread(target=traced, name="heart-beat", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._done.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._done.wait(self._pause_s()):
            try:
                if self._clock() >= self._claim.deadline_at:
                    self._overrun()
                    return
                self._queue.renew(self._claim, now=self._clock(), lease_s=self._rules.lease_s)
            except LostLeaseError as error:
                # A beat that crosses the end of the job finds the claim over, and all is well.
                if not self._done.wait(_FAREWELL_S):
                    LOGGER.warning("A lease was lost: %s", error)
                return
            except LedgerError as error:
                LOGGER.warning("A lease was not renewed: %s", error)

    def _pause_s(self) -> float:
        left_s = (self._claim.deadline_at - self._clock()).total_seconds()
        return max(0.0, min(self._rules.lease_s / _BEATS_PER_LEASE, left_s))

    def _overrun(self) -> None:
        LOGGER.error("Job %s exceeded its time limit", self._claim.task.job_id)
        now = self._clock()
        self._queue.fail(
            self._claim,
            f"the analysis took longer than {self._rules.time_limit_s:g} s",
            again_at=next_attempt(self._rules.retry, failures=self._claim.attempts, now=now),
            now=now,
        )
        self._on_overrun()
