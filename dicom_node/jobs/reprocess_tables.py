"""The tables of re-reads: runs, their studies, the series they ask for, the jobs they cause.

No table holds a name of a folder below the root that an operator named: it may be a patient's.
"""

from datetime import datetime

from sqlalchemy import ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from dicom_node.jobs.column_types import LONG_TEXT, short_text
from dicom_node.jobs.reprocess_state import RunState, StudyState
from dicom_node.jobs.tables import StateText, Table


class ReprocessRunRow(Table):
    """A re-read; `request` is a `ReprocessRequest` as JSON, `most_analysing` one value of it."""

    __tablename__ = "reprocess_runs"

    run_id: Mapped[int] = mapped_column(primary_key=True)
    state: Mapped[RunState] = mapped_column(StateText(RunState))
    note: Mapped[str] = mapped_column(LONG_TEXT, default="")
    request: Mapped[str] = mapped_column(LONG_TEXT)
    most_analysing: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[datetime]
    created_by: Mapped[str] = mapped_column(short_text(255))
    begun_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    is_listed: Mapped[bool] = mapped_column(default=False)
    cursor: Mapped[str] = mapped_column(LONG_TEXT, default="")
    units: Mapped[int] = mapped_column(default=0)
    units_done: Mapped[int] = mapped_column(default=0)


class ReprocessStudyRow(Table):
    """One study of a run. `again_at` is when it may be begun, or begun again if nobody ends it."""

    __tablename__ = "reprocess_studies"

    entry_id: Mapped[int] = mapped_column(primary_key=True)
    run_id: Mapped[int] = mapped_column(ForeignKey("reprocess_runs.run_id"))
    study_uid: Mapped[str] = mapped_column(short_text(64))
    state: Mapped[StudyState] = mapped_column(StateText(StudyState))
    reason: Mapped[str] = mapped_column(LONG_TEXT, default="")
    attempts: Mapped[int] = mapped_column(default=0)
    images: Mapped[int] = mapped_column(default=0)
    job_id: Mapped[int | None] = mapped_column(ForeignKey("jobs.job_id"))
    again_at: Mapped[datetime]
    began_at: Mapped[datetime | None]
    queued_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]

    __table_args__ = (
        UniqueConstraint("run_id", "study_uid"),
        Index("reprocess_studies_due", "run_id", "state", "again_at"),
        Index("reprocess_studies_ended", "run_id", "finished_at"),
    )


class ReprocessSeriesRow(Table):
    """A series that a run asked for. While it is open, its images are the run's, not live ones."""

    __tablename__ = "reprocess_series"

    run_id: Mapped[int] = mapped_column(ForeignKey("reprocess_runs.run_id"), primary_key=True)
    series_uid: Mapped[str] = mapped_column(short_text(64), primary_key=True, index=True)
    entry_id: Mapped[int] = mapped_column(ForeignKey("reprocess_studies.entry_id"), index=True)
    is_open: Mapped[bool] = mapped_column(default=True)


class ReprocessJobRow(Table):
    """An analysis that nobody waits for: a run caused it."""

    __tablename__ = "reprocess_jobs"

    job_id: Mapped[int] = mapped_column(ForeignKey("jobs.job_id"), primary_key=True)
    run_id: Mapped[int] = mapped_column(ForeignKey("reprocess_runs.run_id"), index=True)


class ReprocessPlaceRow(Table):
    """A folder that is done with, by a keyed hash of its name."""

    __tablename__ = "reprocess_places"

    run_id: Mapped[int] = mapped_column(ForeignKey("reprocess_runs.run_id"), primary_key=True)
    place_key: Mapped[str] = mapped_column(short_text(64), primary_key=True)
