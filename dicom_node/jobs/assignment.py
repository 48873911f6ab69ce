"""From a row of the ledger to what a worker is given."""

from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from dicom_node.jobs.results_store import predecessor_of
from dicom_node.jobs.state import JobKind
from dicom_node.jobs.tables import InstanceRow, JobInstanceRow, JobRow, ObjectRow, SeriesRow
from dicom_node.jobs.task import AnalysisTask, BaselineTask, ObjectKind, PredecessorObject
from dicom_node.jobs.traces import association_of


def task_of(session: Session, job: JobRow) -> AnalysisTask:
    """Return what a job asks for; paths are relative to the spool."""
    images_of = job.analysis_job_id or job.job_id
    return AnalysisTask(
        job_id=job.job_id,
        kind=job.kind,
        series_instance_uid=job.series_uid,
        study_instance_uid=job.study_uid,
        input_digest=job.input_digest,
        files=_files(session, images_of),
        arrival_flags=frozenset(job.flags.split()),
        predecessors=_predecessors(session, job),
        baseline=_baseline(session, job),
        association_id=association_of(session, job),
        calling_ae_title=session.get_one(SeriesRow, job.series_uid).calling_ae_title,
    )


def _files(session: Session, job_id: int) -> tuple[Path, ...]:
    """Return the images that an analysis was made of."""
    paths = session.scalars(
        select(InstanceRow.path)
        .join(JobInstanceRow)
        .where(JobInstanceRow.job_id == job_id)
        .order_by(InstanceRow.instance_id)
    )
    return tuple(Path(path) for path in paths)


def _baseline(session: Session, job: JobRow) -> BaselineTask | None:
    if job.baseline_job_id is None:
        return None
    baseline = session.get_one(JobRow, job.baseline_job_id)
    return BaselineTask(
        job_id=baseline.job_id,
        series_instance_uid=baseline.series_uid,
        study_instance_uid=baseline.study_uid,
        input_digest=baseline.input_digest,
        files=_files(session, baseline.job_id),
    )


def _predecessors(session: Session, job: JobRow) -> tuple[PredecessorObject, ...]:
    """Return what the results will supersede; a shadow has none, for nothing of it is sent."""
    if job.kind is JobKind.SHADOW:
        return ()
    earlier = predecessor_of(session, job)
    if earlier is None:
        return ()
    rows = session.scalars(
        select(ObjectRow)
        .where(ObjectRow.result_set_id == earlier.result_set_id)
        .order_by(ObjectRow.send_order)
    )
    return tuple(
        PredecessorObject(
            kind=ObjectKind(row.kind),
            sop_class_uid=row.sop_class_uid,
            sop_instance_uid=row.sop_instance_uid,
            series_instance_uid=row.series_instance_uid,
            study_instance_uid=job.study_uid,
        )
        for row in rows
    )
