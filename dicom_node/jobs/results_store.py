"""Result sets in the ledger: one per input, model and configuration."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from dicom_node.jobs.reprocess_lane import is_kept, objects_to_send
from dicom_node.jobs.state import DeliveryState, JobKind, JobState, move_delivery, move_job
from dicom_node.jobs.tables import DeliveryRow, JobRow, ObjectRow, ResultSetRow, SeriesRow
from dicom_node.jobs.tally import observe_door
from dicom_node.jobs.task import StoredObject
from dicom_node.jobs.timeline import EventKind, record


def add_result_set(
    session: Session,
    job: JobRow,
    objects: Sequence[StoredObject],
    *,
    model_digest: str,
    configuration_digest: str,
    destinations: Sequence[str],
    now: datetime,
) -> ResultSetRow:
    """Return the result set of a job with its objects and deliveries, new unless it was there.

    Results that a re-read kept are delivered once somebody waits for them.
    """
    key = {
        "series_uid": job.series_uid,
        "input_digest": job.input_digest,
        "model_digest": model_digest,
        "configuration_digest": configuration_digest,
    }
    known = session.scalar(select(ResultSetRow).filter_by(**key))
    if known is not None:
        if destinations and session.scalar(select(is_kept(known.result_set_id))):
            _send_kept(session, known, objects, destinations=destinations, now=now)
        return known
    earlier = predecessor_of(session, job)
    result_set = ResultSetRow(
        **key, kind=job.kind, created_at=now, supersedes=earlier.result_set_id if earlier else None
    )
    session.add(result_set)
    session.flush()
    if earlier is not None:
        job.supersedes = session.scalar(
            select(JobRow.job_id).where(JobRow.result_set_id == earlier.result_set_id).limit(1)
        )
    for order, stored in enumerate(objects):
        _add_object(session, result_set, stored, order=order, destinations=destinations, now=now)
    return result_set


def predecessor_of(session: Session, job: JobRow) -> ResultSetRow | None:
    """Return the latest result set of this kind of job for its series: a new one supersedes it.

    What a re-read kept for itself is known to nobody, so nothing supersedes it.
    """
    return session.scalar(
        select(ResultSetRow)
        .where(
            ResultSetRow.series_uid == job.series_uid,
            ResultSetRow.kind == job.kind,
            ~is_kept(ResultSetRow.result_set_id),
        )
        .order_by(ResultSetRow.result_set_id.desc())
        .limit(1)
    )


def revive(
    session: Session, result_set_id: int, now: datetime, *, destination: str | None = None
) -> None:
    """Give the dead deliveries of a result set all their attempts again."""
    dead = select(DeliveryRow).where(
        DeliveryRow.result_set_id == result_set_id, DeliveryRow.state == DeliveryState.DEAD
    )
    if destination is not None:
        dead = dead.where(DeliveryRow.destination == destination)
    for row in session.scalars(dead):
        row.state = move_delivery(row.state, DeliveryState.PENDING)
        row.attempts = 0
        row.refusals = 0
        row.next_attempt_at = now
    reopen_jobs(session, result_set_id, now)


def reopen_jobs(session: Session, result_set_id: int, now: datetime) -> None:
    """Let jobs deliver that had failed: an operator, or a late report, decided a delivery."""
    failed = select(JobRow).where(
        JobRow.result_set_id == result_set_id, JobRow.state == JobState.FAILED
    )
    for job in session.scalars(failed):
        job.state = move_job(job.state, JobState.DELIVERING)
        job.reason = ""
        record(session, now, job.series_uid, EventKind.RETRIED, "deliveries", job_id=job.job_id)


def has_dead(session: Session, result_set_id: int) -> bool:
    """Return whether a delivery of a result set gave up."""
    dead = exists().where(
        DeliveryRow.result_set_id == result_set_id, DeliveryRow.state == DeliveryState.DEAD
    )
    return bool(session.scalar(select(dead)))


def settle_jobs(session: Session, result_set_id: int, now: datetime) -> None:
    """End the jobs of a result set whose deliveries have all come to an end."""
    rows = session.scalars(
        select(DeliveryRow).where(DeliveryRow.result_set_id == result_set_id)
    ).all()
    dead = [row for row in rows if row.state is DeliveryState.DEAD]
    cancelled = [row for row in rows if row.state is DeliveryState.CANCELLED]
    if any(_is_open(row) for row in rows):
        return
    jobs = session.scalars(
        select(JobRow).where(
            JobRow.result_set_id == result_set_id, JobRow.state == JobState.DELIVERING
        )
    )
    for job in jobs:
        if dead:
            job.state = move_job(job.state, JobState.FAILED)
            job.reason = f"{len(dead)} of {len(rows)} deliveries gave up: {dead[0].reason}"
            record(session, now, job.series_uid, EventKind.FAILED, job.reason, job_id=job.job_id)
            continue
        job.state = move_job(job.state, JobState.DELIVERED)
        job.reason = (
            f"{len(cancelled)} of {len(rows)} deliveries were cancelled" if cancelled else ""
        )
        record(session, now, job.series_uid, EventKind.DELIVERED, job_id=job.job_id)
        _observe_door(session, job, rows)


def _observe_door(session: Session, job: JobRow, rows: Sequence[DeliveryRow]) -> None:
    """Count the time from the last image to the last result accepted, of a first opinion.

    A repeat whose results had been accepted before is none: nobody waited for it.
    """
    times = [row.accepted_at for row in rows if row.accepted_at is not None]
    if job.kind is not JobKind.ANALYSIS or not times or max(times) < job.created_at:
        return
    series = session.get_one(SeriesRow, job.series_uid)
    observe_door(session, max(0.0, (max(times) - series.last_received_at).total_seconds()))


def note_delivery(
    session: Session, row: DeliveryRow, kind: EventKind, text: str, now: datetime
) -> None:
    """Write down what happened to a delivery, with its series and job."""
    series_uid, job_id, object_kind = session.execute(
        select(ResultSetRow.series_uid, JobRow.job_id, ObjectRow.kind)
        .join(ObjectRow, ObjectRow.result_set_id == ResultSetRow.result_set_id)
        .outerjoin(JobRow, JobRow.result_set_id == ResultSetRow.result_set_id)
        .where(ObjectRow.object_id == row.object_id)
        .limit(1)
    ).one()
    record(session, now, series_uid, kind, f"{object_kind}: {text}", job_id=job_id)
    session.flush()


def _is_open(row: DeliveryRow) -> bool:
    """Return whether something is still to happen to a delivery."""
    if row.state is DeliveryState.ACCEPTED:
        return row.commitment_at is not None
    return row.state in {DeliveryState.PENDING, DeliveryState.SENDING}


def _add_object(
    session: Session,
    result_set: ResultSetRow,
    stored: StoredObject,
    *,
    order: int,
    destinations: Sequence[str],
    now: datetime,
) -> None:
    row = ObjectRow(
        result_set_id=result_set.result_set_id,
        send_order=order,
        kind=stored.kind.value,
        sop_class_uid=stored.sop_class_uid,
        sop_instance_uid=stored.sop_instance_uid,
        series_instance_uid=stored.series_instance_uid,
        transfer_syntax_uid=stored.transfer_syntax_uid,
        path=str(stored.path),
        size_bytes=stored.size_bytes,
        content_digest=stored.content_digest,
    )
    session.add(row)
    session.flush()
    _add_deliveries(session, result_set, row.object_id, destinations=destinations, now=now)


def _send_kept(
    session: Session,
    result_set: ResultSetRow,
    objects: Sequence[StoredObject],
    *,
    destinations: Sequence[str],
    now: datetime,
) -> None:
    """Have the objects of a result set delivered that were kept; purged ones come anew."""
    here = objects_to_send(session, result_set.result_set_id)
    for object_id in here:
        _add_deliveries(session, result_set, object_id, destinations=destinations, now=now)
    for order, stored in enumerate(() if here else objects):
        _add_object(session, result_set, stored, order=order, destinations=destinations, now=now)


def _add_deliveries(
    session: Session,
    result_set: ResultSetRow,
    object_id: int,
    *,
    destinations: Sequence[str],
    now: datetime,
) -> None:
    session.add_all(
        DeliveryRow(
            object_id=object_id,
            result_set_id=result_set.result_set_id,
            destination=destination,
            state=DeliveryState.PENDING,
            next_attempt_at=now,
        )
        for destination in destinations
    )
