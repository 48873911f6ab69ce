"""From a job or its results back to the association by which the images came."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from dicom_node.jobs.tables import InstanceRow, JobInstanceRow, JobRow


def association_of(session: Session, job: JobRow) -> str:
    """Return the association that brought the last image of a job; empty if none is known.

    Of a comparison or a shadow it is that of the analysis which it rests on.
    """
    found = session.scalar(
        select(InstanceRow.association_id)
        .join(JobInstanceRow)
        .where(JobInstanceRow.job_id == (job.analysis_job_id or job.job_id))
        .order_by(InstanceRow.received_at.desc(), InstanceRow.instance_id.desc())
        .limit(1)
    )
    return found or ""


def association_of_results(session: Session, result_set_id: int) -> str:
    """Return the association behind a result set; empty if none is known."""
    job = session.scalar(
        select(JobRow)
        .where(JobRow.result_set_id == result_set_id)
        .order_by(JobRow.job_id)
        .limit(1)
    )
    return "" if job is None else association_of(session, job)
