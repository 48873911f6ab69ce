"""Scans of which the ledger knows what became of them, with their files; read, never written."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from dicom_node.jobs.database import Database
from dicom_node.jobs.state import JobKind, JobState
from dicom_node.jobs.tables import InstanceRow, JobInstanceRow, JobRow, ObjectRow
from dicom_node.jobs.task import ObjectKind


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowedScan:
    """One of two scans that were compared.

    Attributes
    ----------
    series_uid, input_digest : str
        What was analysed.
    acquired_at : str
        Time of the scan in ISO 8601, as its images say it; empty if they do not.
    files : tuple of Path
        Its images, relative to the spool.
    masks : tuple of Path
        Segmentations that its own analysis made, relative to the outbox.
    """

    series_uid: str
    input_digest: str
    acquired_at: str
    files: tuple[Path, ...]
    masks: tuple[Path, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowedPair:
    """A comparison that has come to its end.

    Attributes
    ----------
    job_id : int
        Of the comparison; a later one of the same scans has a higher number.
    patient_key : str
        Keyed hash that tells patients apart.
    finished_at : datetime
        When it was made.
    baseline, follow_up : FollowedScan
        The earlier and the later scan.
    masks : tuple of Path
        Segmentations of both that the comparison made by one model, relative to the outbox.
    record : mapping
        As `dicom_node.results.comparison_record` made it.
    """

    job_id: int
    patient_key: str = field(repr=False)
    finished_at: datetime
    baseline: FollowedScan
    follow_up: FollowedScan
    masks: tuple[Path, ...]
    record: Mapping[str, Any]


class FollowedLedger:
    """Reads which scans were compared. Raises LedgerUnavailableError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def pairs(self) -> tuple[FollowedPair, ...]:
        """Return the last comparison of each later scan, the oldest first."""
        latest: dict[str, JobRow] = {}
        with self._database.read() as session:
            for row in session.scalars(
                select(JobRow)
                .where(
                    JobRow.kind == JobKind.COMPARISON,
                    JobRow.record != "",
                    JobRow.state != JobState.WITHDRAWN,
                )
                .order_by(JobRow.job_id)
            ):
                latest.pop(row.series_uid, None)
                latest[row.series_uid] = row
            return tuple(_pair(session, row) for row in latest.values())


def _pair(session: Session, row: JobRow) -> FollowedPair:
    return FollowedPair(
        job_id=row.job_id,
        patient_key=row.patient_key,
        finished_at=row.finished_at or row.created_at,
        baseline=_scan(session, session.get_one(JobRow, row.baseline_job_id)),
        follow_up=_scan(session, session.get_one(JobRow, row.analysis_job_id)),
        masks=_masks(session, row),
        record=json.loads(row.record),
    )


def _scan(session: Session, row: JobRow) -> FollowedScan:
    files = session.scalars(
        select(InstanceRow.path)
        .join(JobInstanceRow)
        .where(JobInstanceRow.job_id == row.job_id)
        .order_by(InstanceRow.instance_id)
    )
    return FollowedScan(
        series_uid=row.series_uid,
        input_digest=row.input_digest,
        acquired_at=row.acquired_at or "",
        files=tuple(Path(path) for path in files),
        masks=_masks(session, row),
    )


def _masks(session: Session, row: JobRow) -> tuple[Path, ...]:
    """Return the segmentations among the results of a job; a forecast is none."""
    paths = session.scalars(
        select(ObjectRow.path)
        .where(
            ObjectRow.result_set_id == row.result_set_id,
            ObjectRow.kind == ObjectKind.SEGMENTATION.value,
        )
        .order_by(ObjectRow.send_order)
    )
    return tuple(Path(path) for path in paths)
