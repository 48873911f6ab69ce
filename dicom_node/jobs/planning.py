"""What follows an analysis that has results: comparisons, a shadow, searches for earlier scans."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from dicom_node.jobs.pairing import AnalyzedScan, PairingRules, ScanPair, pairs_of
from dicom_node.jobs.purged_images import IMAGES_PURGED
from dicom_node.jobs.reprocess_lane import is_of_a_run
from dicom_node.jobs.state import JobKind, JobState, SearchState, move_job
from dicom_node.jobs.tables import (
    InstanceRow,
    JobInstanceRow,
    JobRow,
    PriorSearchRow,
    PriorSeriesRow,
    SeriesRow,
)
from dicom_node.jobs.timeline import EventKind, record

#: What follows a result never holds up a first result.
COMPARISON_PRIORITY: Final = -10
URGENT_COMPARISON_PRIORITY: Final = -5
SHADOW_PRIORITY: Final = -20

#: `status` of an analysis record that found a hematoma (`dicom_node.results.record`).
_FOUND: Final = "hematoma_found"

NO_TIME: Final = "not compared with other scans: its images name no time of acquisition"

PURGED: Final = "not compared with an earlier scan: images of one of the two were purged"

OTHER_ISSUER: Final = "not compared with scans whose Patient ID is the same, but not its issuer"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanningRules:
    """What the site wants to follow an analysis.

    Attributes
    ----------
    pairing : PairingRules or None
        When two scans of a patient are compared; None: never.
    prior_peers : tuple of str
        Peers that are searched for earlier scans.
    with_shadow : bool
        Whether every analysis is repeated by models on trial.
    """

    pairing: PairingRules | None = None
    prior_peers: tuple[str, ...] = ()
    with_shadow: bool = False


#: Nothing follows.
NO_PLANS: Final = PlanningRules()


def note_scan(session: Session, job: JobRow, facts: Mapping[str, Any]) -> None:
    """Keep with an analysis whose scan it was and when it was taken, as its record says."""
    keys = session.execute(
        select(InstanceRow.patient_id_key, InstanceRow.issuer_key)
        .join(JobInstanceRow)
        .where(JobInstanceRow.job_id == job.job_id)
        .distinct()
    ).all()
    if len(keys) == 1:
        job.patient_key, job.issuer_key = keys[0]
    acquired_at = facts.get("acquired_at")
    job.acquired_at = str(acquired_at) if acquired_at else None


def plan_after(session: Session, job: JobRow, rules: PlanningRules, now: datetime) -> None:
    """Queue whatever the results of an analysis make due; a repeat queues nothing twice."""
    if job.kind is not JobKind.ANALYSIS:
        return
    session.flush()
    if rules.with_shadow:
        _plan_shadow(session, job, now)
    if rules.pairing is not None and job.patient_key:
        _plan_comparisons(session, job, rules.pairing, now)
    if rules.prior_peers and job.patient_key:
        _plan_searches(session, job, rules.prior_peers, now)


def _plan_shadow(session: Session, job: JobRow, now: datetime) -> None:
    same = exists().where(JobRow.analysis_job_id == job.job_id, JobRow.kind == JobKind.SHADOW)
    if session.scalar(select(same)):
        return
    session.add(
        JobRow(
            kind=JobKind.SHADOW,
            series_uid=job.series_uid,
            study_uid=job.study_uid,
            input_digest=_digest(JobKind.SHADOW, job.input_digest),
            state=JobState.QUEUED,
            flags=job.flags,
            priority=SHADOW_PRIORITY,
            created_at=now,
            available_at=now,
            analysis_job_id=job.job_id,
            patient_key=job.patient_key,
            acquired_at=job.acquired_at,
        )
    )


def _plan_comparisons(session: Session, job: JobRow, rules: PairingRules, now: datetime) -> None:
    analyses = {
        row.job_id: row
        for row in session.scalars(
            select(JobRow).where(
                JobRow.patient_key == job.patient_key,
                JobRow.kind == JobKind.ANALYSIS,
                JobRow.result_set_id.is_not(None),
            )
        )
    }
    if job.acquired_at is None and len({row.series_uid for row in analyses.values()}) > 1:
        record(session, now, job.series_uid, EventKind.NOT_COMPARED, NO_TIME, job_id=job.job_id)
    if any(_is_of_another_issuer(row, job) for row in analyses.values()):
        text = OTHER_ISSUER
        record(session, now, job.series_uid, EventKind.NOT_COMPARED, text, job_id=job.job_id)
    for pair in pairs_of([_scan(row) for row in analyses.values()], rules):
        _plan_comparison(session, pair, analyses, now)


def _plan_comparison(
    session: Session, pair: ScanPair, analyses: Mapping[int, JobRow], now: datetime
) -> None:
    baseline, follow_up = analyses[pair.baseline.job_id], analyses[pair.follow_up.job_id]
    if session.scalar(select(is_of_a_run(JobRow.job_id)).where(JobRow.job_id == follow_up.job_id)):
        return  # nobody waits for a comparison that ends with a scan of an archive's re-read
    same = exists().where(
        JobRow.kind == JobKind.COMPARISON,
        JobRow.baseline_job_id == baseline.job_id,
        JobRow.analysis_job_id == follow_up.job_id,
        JobRow.state != JobState.WITHDRAWN,
    )
    if session.scalar(select(same)):
        return
    both = JobRow.job_id.in_((baseline.job_id, follow_up.job_id))
    if session.scalar(select(exists().where(both, IMAGES_PURGED))):
        record(session, now, follow_up.series_uid, EventKind.NOT_COMPARED, PURGED)
        return
    _withdraw_waiting(session, follow_up.series_uid, now)
    is_urgent = bool(session.get_one(SeriesRow, follow_up.series_uid).urgency)
    job = JobRow(
        kind=JobKind.COMPARISON,
        series_uid=follow_up.series_uid,
        study_uid=follow_up.study_uid,
        input_digest=_digest(JobKind.COMPARISON, baseline.input_digest, follow_up.input_digest),
        state=JobState.QUEUED,
        flags=follow_up.flags,
        priority=URGENT_COMPARISON_PRIORITY if is_urgent else COMPARISON_PRIORITY,
        created_at=now,
        available_at=now,
        baseline_job_id=baseline.job_id,
        analysis_job_id=follow_up.job_id,
        patient_key=follow_up.patient_key,
        acquired_at=follow_up.acquired_at,
    )
    session.add(job)
    session.flush()
    text = f"with series {baseline.series_uid}"
    record(session, now, job.series_uid, EventKind.PAIRED, text, job_id=job.job_id)


def _withdraw_waiting(session: Session, series_uid: str, now: datetime) -> None:
    """Withdraw a comparison of this follow-up that no worker has begun: its baseline changed."""
    waiting = select(JobRow).where(
        JobRow.series_uid == series_uid,
        JobRow.kind == JobKind.COMPARISON,
        JobRow.state == JobState.QUEUED,
    )
    for job in session.scalars(waiting):
        job.state = move_job(job.state, JobState.WITHDRAWN)
        job.reason = "another analysis takes its place"
        job.finished_at = now
        record(session, now, series_uid, EventKind.WITHDRAWN, job.reason, job_id=job.job_id)


def _plan_searches(session: Session, job: JobRow, peers: tuple[str, ...], now: datetime) -> None:
    """Have each peer searched once per study, unless the study itself was fetched as a prior."""
    if job.acquired_at is None or not _found_hematoma(job):
        return
    fetched = exists().where(PriorSeriesRow.study_uid == job.study_uid)
    if session.scalar(select(fetched)):
        return
    known = set(
        session.scalars(
            select(PriorSearchRow.peer).where(PriorSearchRow.study_uid == job.study_uid)
        )
    )
    session.add_all(
        PriorSearchRow(
            job_id=job.job_id,
            series_uid=job.series_uid,
            study_uid=job.study_uid,
            peer=peer,
            state=SearchState.PENDING,
            created_at=now,
            next_attempt_at=now,
        )
        for peer in peers
        if peer not in known
    )


def _is_of_another_issuer(row: JobRow, job: JobRow) -> bool:
    return bool(row.issuer_key and job.issuer_key and row.issuer_key != job.issuer_key)


def _scan(row: JobRow) -> AnalyzedScan:
    return AnalyzedScan(
        job_id=row.job_id,
        series_uid=row.series_uid,
        issuer_key=row.issuer_key,
        acquired_at=None if row.acquired_at is None else datetime.fromisoformat(row.acquired_at),
        has_hematoma=_found_hematoma(row),
    )


def _found_hematoma(row: JobRow) -> bool:
    return bool(row.record) and json.loads(row.record).get("status") == _FOUND


def _digest(kind: JobKind, *digests: str) -> str:
    return hashlib.sha256("\n".join([kind.value, *digests]).encode()).hexdigest()
