"""What the ledger knows of studies as far as retention asks; read in the caller's transaction."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Select, and_, case, func, or_, select
from sqlalchemy.orm import Session, aliased

from dicom_node.jobs.retention import JobFacts, ResultFacts, SeriesFacts, StudyFacts
from dicom_node.jobs.retention_tables import StudyHoldRow
from dicom_node.jobs.state import DeliveryState, JobState, SearchState
from dicom_node.jobs.tables import (
    DeliveryRow,
    InstanceRow,
    JobRow,
    ObjectRow,
    PriorSearchRow,
    ResultSetRow,
    SeriesRow,
)

#: SQLite takes this many parameters in any build.
_BATCH = 200

_WORKING = (JobState.QUEUED, JobState.ANALYZING)
_ON_THE_WAY = (DeliveryState.PENDING, DeliveryState.SENDING, DeliveryState.DEAD)

#: Returns how many bytes the summary of a job takes, 0 without one.
SummaryBytes = Callable[[int], int]


def held_studies(session: Session) -> tuple[str, ...]:
    """Return every study of which something was not purged."""
    images = select(InstanceRow.series_uid).where(InstanceRow.purged_at.is_(None))
    results = (
        select(ResultSetRow.series_uid)
        .join(ObjectRow, ObjectRow.result_set_id == ResultSetRow.result_set_id)
        .where(ObjectRow.purged_at.is_(None))
    )
    summaries = select(JobRow.series_uid).where(
        JobRow.purged_at.is_(None), JobRow.state != JobState.WITHDRAWN
    )
    found = session.scalars(
        select(SeriesRow.study_uid)
        .where(
            or_(
                SeriesRow.series_uid.in_(images),
                SeriesRow.series_uid.in_(results),
                SeriesRow.series_uid.in_(summaries),
            )
        )
        .distinct()
        .order_by(SeriesRow.study_uid)
    )
    return tuple(found)


def study_facts(
    session: Session, study_uids: Sequence[str], *, summary_bytes: SummaryBytes
) -> Iterator[StudyFacts]:
    """Yield the facts of these studies; those that the ledger does not know are left out."""
    for start in range(0, len(study_uids), _BATCH):
        yield from _facts(session, study_uids[start : start + _BATCH], summary_bytes)


def _facts(
    session: Session, study_uids: Sequence[str], summary_bytes: SummaryBytes
) -> Iterator[StudyFacts]:
    rows = session.scalars(
        select(SeriesRow).where(SeriesRow.study_uid.in_(study_uids)).order_by(SeriesRow.series_uid)
    ).all()
    images = _images(session, study_uids)
    jobs = _jobs(session, study_uids, summary_bytes)
    on_hold = set(
        session.scalars(
            select(StudyHoldRow.study_uid).where(StudyHoldRow.study_uid.in_(study_uids))
        )
    )
    elsewhere = _used_elsewhere(session, study_uids)
    studies: dict[str, list[SeriesFacts]] = {}
    for row in rows:
        number, size, committed_at = images.get(row.series_uid, (0, 0, None))
        studies.setdefault(row.study_uid, []).append(
            SeriesFacts(
                series_uid=row.series_uid,
                state=row.state,
                last_received_at=row.last_received_at,
                images=number,
                size_bytes=size,
                committed_at=committed_at,
                jobs=tuple(jobs.get(row.series_uid, ())),
            )
        )
    for study_uid, series in studies.items():
        yield StudyFacts(
            study_uid=study_uid,
            series=tuple(series),
            is_on_hold=study_uid in on_hold,
            is_used_elsewhere=study_uid in elsewhere,
        )


def _images(session: Session, study_uids: Sequence[str]) -> Mapping[str, tuple[Any, ...]]:
    """Return number, size and last commitment of what was not purged, by series."""
    found = session.execute(
        select(
            InstanceRow.series_uid,
            func.count(),
            func.sum(InstanceRow.size_bytes),
            func.max(InstanceRow.committed_at, type_=InstanceRow.committed_at.type),
        )
        .join(SeriesRow, SeriesRow.series_uid == InstanceRow.series_uid)
        .where(SeriesRow.study_uid.in_(study_uids), InstanceRow.purged_at.is_(None))
        .group_by(InstanceRow.series_uid)
    )
    return {uid: tuple(numbers) for uid, *numbers in found}


def _jobs(
    session: Session, study_uids: Sequence[str], summary_bytes: SummaryBytes
) -> Mapping[str, list[JobFacts]]:
    results = _results(session, study_uids)
    rows = session.scalars(
        select(JobRow)
        .join(SeriesRow, SeriesRow.series_uid == JobRow.series_uid)
        .where(SeriesRow.study_uid.in_(study_uids))
        .order_by(JobRow.job_id)
    )
    found: dict[str, list[JobFacts]] = {}
    for row in rows:
        found.setdefault(row.series_uid, []).append(
            JobFacts(
                job_id=row.job_id,
                kind=row.kind,
                state=row.state,
                ended_at=row.finished_at or row.created_at,
                result=results.get(row.result_set_id or 0),
                summary_bytes=0 if row.purged_at else summary_bytes(row.job_id),
            )
        )
    return found


def _results(session: Session, study_uids: Sequence[str]) -> Mapping[int, ResultFacts]:
    of_studies = (
        select(ResultSetRow.result_set_id)
        .join(SeriesRow, SeriesRow.series_uid == ResultSetRow.series_uid)
        .where(SeriesRow.study_uid.in_(study_uids))
    )
    files = {
        number: (count, size)
        for number, count, size in session.execute(
            select(ObjectRow.result_set_id, func.count(), func.sum(ObjectRow.size_bytes))
            .where(ObjectRow.result_set_id.in_(of_studies), ObjectRow.purged_at.is_(None))
            .group_by(ObjectRow.result_set_id)
        )
    }
    deliveries = _deliveries(session, of_studies)
    found = {}
    for row in session.scalars(
        select(ResultSetRow).where(ResultSetRow.result_set_id.in_(of_studies))
    ):
        count, size = files.get(row.result_set_id, (0, 0))
        number, undelivered, uncommitted, accepted_at = deliveries.get(
            row.result_set_id, (0, 0, 0, None)
        )
        found[row.result_set_id] = ResultFacts(
            result_set_id=row.result_set_id,
            created_at=row.created_at,
            files=count,
            size_bytes=size,
            deliveries=number,
            undelivered=undelivered,
            uncommitted=uncommitted,
            last_accepted_at=accepted_at,
        )
    return found


def _deliveries(session: Session, of_studies: Select[int]) -> Mapping[int, tuple[Any, ...]]:
    """Return how many there are, on their way and not committed, and the last acceptance."""
    awaited = and_(
        DeliveryRow.state == DeliveryState.ACCEPTED, DeliveryRow.commitment_at.is_not(None)
    )
    return {
        number: tuple(counts)
        for number, *counts in session.execute(
            select(
                DeliveryRow.result_set_id,
                func.count(),
                func.sum(case((DeliveryRow.state.in_(_ON_THE_WAY), 1), else_=0)),
                func.sum(case((awaited, 1), else_=0)),
                func.max(DeliveryRow.accepted_at, type_=DeliveryRow.accepted_at.type),
            )
            .where(DeliveryRow.result_set_id.in_(of_studies))
            .group_by(DeliveryRow.result_set_id)
        )
    }


def _used_elsewhere(session: Session, study_uids: Sequence[str]) -> set[str]:
    """Return the studies whose images a comparison of another one will read, or a search."""
    baseline, source = aliased(JobRow), aliased(SeriesRow)
    compared = session.scalars(
        select(source.study_uid)
        .join(baseline, baseline.series_uid == source.series_uid)
        .join(JobRow, JobRow.baseline_job_id == baseline.job_id)
        .where(source.study_uid.in_(study_uids), JobRow.state.in_(_WORKING))
    )
    sought = session.scalars(
        select(PriorSearchRow.study_uid).where(
            PriorSearchRow.study_uid.in_(study_uids), PriorSearchRow.state == SearchState.PENDING
        )
    )
    return {*compared, *sought}
