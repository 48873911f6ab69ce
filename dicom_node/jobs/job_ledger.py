"""The workers' side of the ledger: claims, leases, ends of jobs."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import exists, or_, select
from sqlalchemy.orm import Session, aliased

from dicom_node.errors import IllegalTransitionError, LostLeaseError, UnknownEntryError
from dicom_node.jobs.assignment import task_of
from dicom_node.jobs.database import Database
from dicom_node.jobs.planning import NO_PLANS, PlanningRules, note_scan, plan_after
from dicom_node.jobs.purged_images import IMAGES_PURGED
from dicom_node.jobs.reprocess_lane import allowed, is_asked_for, may_begin
from dicom_node.jobs.results_store import add_result_set, revive, settle_jobs
from dicom_node.jobs.retry import RetryPolicy, next_attempt
from dicom_node.jobs.state import JobKind, JobState, SeriesState, move_job, move_series
from dicom_node.jobs.tables import (
    JobRow,
    SeriesRow,
)
from dicom_node.jobs.tally import Tally, count, count_steps
from dicom_node.jobs.task import (
    Claim,
    Leaflet,
    StoredObject,
)
from dicom_node.jobs.timeline import EventKind
from dicom_node.jobs.timeline import record as note

#: A series without an image for so long is not waited for by what can wait.
_STILL_ARRIVING = timedelta(seconds=120)


class JobLedger:
    """The `JobQueue` of the node: rows that workers claim for a time.

    A claim carries a token that rises with every claim of the job. A worker that was thought dead
    and comes back holds an older token, and whatever it does is refused: so two workers never
    both finish a job.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def claim(
        self, worker: str, *, now: datetime, lease_s: float, time_limit_s: float
    ) -> Claim | None:
        """Return the next job, now this worker's, or None if nothing waits.

        Urgent jobs come first, then the oldest. Two jobs of one series never run at the same time.
        What only follows a result does not begin while images arrive: the analysis that they will
        need comes first. Nor does what a re-read of an archive asked for.
        """
        other = aliased(JobRow)
        busy = exists().where(
            other.series_uid == JobRow.series_uid, other.state == JobState.ANALYZING
        )
        arriving = exists().where(
            SeriesRow.state.in_((SeriesState.RECEIVING, SeriesState.COMPLETE)),
            SeriesRow.last_received_at > now - _STILL_ARRIVING,
            ~is_asked_for(SeriesRow.series_uid),
        )
        waiting = (
            select(JobRow)
            .where(
                JobRow.state == JobState.QUEUED,
                JobRow.available_at <= now,
                ~busy,
                or_(JobRow.priority >= 0, ~arriving),
                may_begin(),
            )
            .order_by(JobRow.priority.desc(), JobRow.created_at, JobRow.job_id)
            .limit(1)
        )
        with self._database.write() as session:
            job = self._database.engine.dispatch.next_of(session, waiting)
            if job is None:
                return None
            deadline_at = now + timedelta(seconds=time_limit_s)
            lease_until = min(now + timedelta(seconds=lease_s), deadline_at)
            job.state = move_job(job.state, JobState.ANALYZING)
            job.claimed_by = worker
            job.token += 1
            job.attempts += 1
            job.started_at = now
            job.lease_until = lease_until
            job.deadline_at = deadline_at
            note(session, now, job.series_uid, EventKind.CLAIMED, worker, job_id=job.job_id)
            return Claim(
                task=task_of(session, job),
                worker=worker,
                token=job.token,
                attempts=job.attempts,
                lease_until=lease_until,
                deadline_at=deadline_at,
            )

    def renew(self, claim: Claim, *, now: datetime, lease_s: float) -> None:
        """Extend the lease, never beyond the deadline. Raises LostLeaseError."""
        with self._database.write() as session:
            job = _claimed(session, claim)
            # The row's deadline, not the claim's: a clock that is set back brings it back, too.
            deadline_at = job.deadline_at or claim.deadline_at
            job.lease_until = min(now + timedelta(seconds=lease_s), deadline_at)

    def note_step(self, claim: Claim, step: str, *, now: datetime) -> None:
        """Write down that a step begins. Raises LostLeaseError."""
        with self._database.write() as session:
            job = _claimed(session, claim)
            note(session, now, job.series_uid, EventKind.STEP, step, job_id=job.job_id)

    def complete(
        self,
        claim: Claim,
        objects: Sequence[StoredObject],
        *,
        model_digest: str,
        configuration_digest: str,
        destinations: Sequence[str],
        record: Mapping[str, Any],
        now: datetime,
        plans: PlanningRules = NO_PLANS,
    ) -> None:
        """Store results and deliveries, end the job and plan what follows, in one transaction.

        If there are results of the same input, model and configuration already, those stay and
        the new ones are dropped: a repeat makes no second result set.

        Raises
        ------
        LostLeaseError
            If the claim is no longer the worker's.
        """
        with self._database.write() as session:
            job = _claimed(session, claim)
            destinations, is_followed = allowed(session, job, destinations)
            result_set = add_result_set(
                session,
                job,
                objects,
                model_digest=model_digest,
                configuration_digest=configuration_digest,
                destinations=destinations,
                now=now,
            )
            job.state = move_job(job.state, JobState.DELIVERING)
            job.result_set_id = result_set.result_set_id
            _end_attempt(job, "", record=record, now=now)
            count(session, Tally.ATTEMPTS, kind=job.kind.value, outcome="results")
            count_steps(session, job.kind.value, record.get("seconds_per_step"))
            note(
                session,
                now,
                job.series_uid,
                EventKind.RESULTS,
                f"{len(objects)} objects for {len(destinations)} destination(s)",
                job_id=job.job_id,
            )
            session.flush()
            settle_jobs(session, result_set.result_set_id, now)
            if job.kind is JobKind.ANALYSIS:
                note_scan(session, job, record)
                plan_after(session, job, plans if is_followed else NO_PLANS, now)

    def reject(
        self,
        claim: Claim,
        reason: str,
        *,
        record: Mapping[str, Any],
        now: datetime,
        leaflet: Leaflet | None = None,
    ) -> None:
        """End the job: the series cannot be analysed, or not be compared.

        If it was an analysis, series of the study that were only outranked are considered again;
        only if there is none, `leaflet` is delivered. Raises LostLeaseError.
        """
        with self._database.write() as session:
            job = _claimed(session, claim)
            job.state = move_job(job.state, JobState.REJECTED)
            _end_attempt(job, reason, record=record, now=now)
            count(session, Tally.ATTEMPTS, kind=job.kind.value, outcome="rejected")
            count_steps(session, job.kind.value, record.get("seconds_per_step"))
            note(session, now, job.series_uid, EventKind.REJECTED, reason, job_id=job.job_id)
            if job.kind is not JobKind.ANALYSIS:
                return
            outranked = select(SeriesRow).where(
                SeriesRow.study_uid == job.study_uid,
                SeriesRow.state == SeriesState.SET_ASIDE,
                SeriesRow.eligible,
            )
            instead = session.scalars(outranked).all()
            if leaflet is not None and not instead:
                job.result_set_id = add_result_set(
                    session,
                    job,
                    leaflet.objects,
                    model_digest=leaflet.model_digest,
                    configuration_digest=leaflet.configuration_digest,
                    destinations=allowed(session, job, leaflet.destinations)[0],
                    now=now,
                ).result_set_id
            for series in instead:
                series.state = move_series(series.state, SeriesState.COMPLETE)
                series.complete_at = now
                note(session, now, series.series_uid, EventKind.RECONSIDERED)

    def fail(self, claim: Claim, reason: str, *, again_at: datetime | None, now: datetime) -> None:
        """End the attempt: the job waits until `again_at`, or gives up if that is None.

        Raises
        ------
        LostLeaseError
            If the claim is no longer the worker's.
        """
        with self._database.write() as session:
            _fail(session, _claimed(session, claim), reason, again_at=again_at, now=now)

    def sweep(self, policy: RetryPolicy, now: datetime) -> int:
        """Take jobs from workers whose lease ran out; return how many."""
        with self._database.write() as session:
            self._database.engine.dispatch.mend(session)
            lost = session.scalars(
                select(JobRow).where(JobRow.state == JobState.ANALYZING, JobRow.lease_until < now)
            ).all()
            for job in lost:
                if job.deadline_at is not None and now >= job.deadline_at:
                    reason = f"{job.claimed_by} exceeded the time limit"
                else:
                    reason = f"{job.claimed_by} stopped without a word"
                again_at = next_attempt(policy, failures=job.attempts, now=now)
                _fail(session, job, reason, again_at=again_at, now=now)
                count(session, Tally.LOST_LEASES, of="job")
            return len(lost)

    def release(self, worker: str, policy: RetryPolicy, now: datetime) -> int:
        """Take from a worker that is known to be dead what it held; return how many jobs.

        The next attempt may begin at once, if there is one left: its death was no answer to the
        series, and a job that kills its workers still runs out of attempts.
        """
        with self._database.write() as session:
            lost = session.scalars(
                select(JobRow).where(
                    JobRow.state == JobState.ANALYZING, JobRow.claimed_by == worker
                )
            ).all()
            for job in lost:
                is_last = next_attempt(policy, failures=job.attempts, now=now) is None
                again_at = None if is_last else now
                _fail(session, job, f"{worker} was restarted", again_at=again_at, now=now)
                count(session, Tally.LOST_LEASES, of="job")
            return len(lost)

    def failed(self, identifier: str | None = None) -> tuple[int, ...]:
        """Return the failed jobs of every kind: all, or those of one series or number.

        Those whose images were purged cannot be tried again and are left out.

        Raises
        ------
        UnknownEntryError
            If there is no such series or job.
        """
        with self._database.read() as session:
            jobs = select(JobRow).order_by(JobRow.job_id)
            if identifier is not None:
                number = int(identifier) if identifier.isdecimal() else -1
                named = or_(JobRow.series_uid == identifier, JobRow.job_id == number)
                jobs = jobs.where(named)
                is_series = session.get(SeriesRow, identifier) is not None
                if not is_series and session.scalar(jobs.limit(1)) is None:
                    raise UnknownEntryError(f"the ledger knows no series or job {identifier!r}")
            failed = jobs.where(JobRow.state == JobState.FAILED, ~IMAGES_PURGED)
            return tuple(job.job_id for job in session.scalars(failed))

    def retry(self, job_id: int, now: datetime) -> None:
        """Give a failed job all its attempts again: an operator's decision.

        If its results are there already, only the deliveries that gave up are tried again.

        Raises
        ------
        UnknownEntryError
            If there is no such job.
        IllegalTransitionError
            If the job did not fail.
        """
        with self._database.write() as session:
            job = session.get(JobRow, job_id)
            if job is None:
                raise UnknownEntryError(f"There is no job {job_id}")
            if job.state is JobState.FAILED and job.result_set_id is not None:
                revive(session, job.result_set_id, now)
                return
            if job.state is not JobState.FAILED:
                raise IllegalTransitionError(f"Job {job_id} is {job.state}, it did not fail")
            if session.scalar(select(JobRow.job_id).where(JobRow.job_id == job_id, IMAGES_PURGED)):
                raise IllegalTransitionError(
                    f"Images of job {job_id} were purged: send the series again"
                )
            job.state = move_job(job.state, JobState.QUEUED)
            job.attempts = 0
            job.available_at = now
            job.reason = ""
            note(session, now, job.series_uid, EventKind.RETRIED, job_id=job_id)


def _claimed(session: Session, claim: Claim) -> JobRow:
    job = session.get(JobRow, claim.task.job_id)
    if job is None or job.state is not JobState.ANALYZING or job.token != claim.token:
        raise LostLeaseError(
            f"Job {claim.task.job_id} is no longer {claim.worker}'s: claim {claim.token} is over"
        )
    return job


def _end_attempt(
    job: JobRow, reason: str, *, record: Mapping[str, Any] | None = None, now: datetime
) -> None:
    job.reason = reason
    job.lease_until = None
    job.deadline_at = None
    job.finished_at = now
    if record is not None:
        job.record = json.dumps(dict(record))


def _fail(
    session: Session, job: JobRow, reason: str, *, again_at: datetime | None, now: datetime
) -> None:
    _end_attempt(job, reason, now=now)
    count(session, Tally.ATTEMPTS, kind=job.kind.value, outcome="failed")
    if again_at is None:
        job.state = move_job(job.state, JobState.FAILED)
        kind = EventKind.FAILED
    else:
        job.state = move_job(job.state, JobState.QUEUED)
        job.available_at = again_at
        job.finished_at = None
        kind = EventKind.ATTEMPT_FAILED
    note(session, now, job.series_uid, kind, reason, job_id=job.job_id)
