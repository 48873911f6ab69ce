"""Whether what a job was made of is still here."""

from typing import Final

from sqlalchemy import ColumnElement, exists, or_

from dicom_node.jobs.tables import InstanceRow, JobInstanceRow, JobRow

#: Whether images of a job were purged, be they its own, or those of the scans that it compares.
#: For queries that look at `JobRow`.
IMAGES_PURGED: Final[ColumnElement[bool]] = exists().where(
    or_(
        JobInstanceRow.job_id == JobRow.job_id,
        JobInstanceRow.job_id == JobRow.analysis_job_id,
        JobInstanceRow.job_id == JobRow.baseline_job_id,
    ),
    JobInstanceRow.instance_id == InstanceRow.instance_id,
    InstanceRow.purged_at.is_not(None),
)
