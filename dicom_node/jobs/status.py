"""Where things stand, as values for status and web page."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from dicom_node.jobs.state import DeliveryState, JobKind, JobState, SearchState, SeriesState


@dataclass(frozen=True, slots=True, kw_only=True)
class JobStatus:
    """Where a job stands; `record` is the summary of its result, empty until there is one."""

    job_id: int
    state: JobState
    reason: str
    attempts: int
    flags: frozenset[str]
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    supersedes: int | None
    record: Mapping[str, Any]
    kind: JobKind = JobKind.ANALYSIS
    baseline_job_id: int | None = None
    analysis_job_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryStatus:
    """Where one object stands on its way to one destination."""

    delivery_id: int
    destination: str
    kind: str
    sop_instance_uid: str
    state: DeliveryState
    attempts: int
    reason: str
    next_attempt_at: datetime
    accepted_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchStatus:
    """Where the search for earlier scans at one peer stands."""

    peer: str
    state: SearchState
    attempts: int
    reason: str
    next_attempt_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesStatus:
    """Where a series stands.

    Attributes
    ----------
    series_instance_uid, study_instance_uid : str
        Which one.
    state : SeriesState
        Up to selection; then `job` says the rest.
    reason : str
        What is waited for, why it was chosen, or why not.
    calling_ae_title : str
        Who sent its first image.
    images : int
        Distinct instances.
    first_received_at, last_received_at : datetime
        When they came.
    job : JobStatus or None
        The latest analysis.
    deliveries : tuple of DeliveryStatus
        Of the latest analysis, in the order they are sent.
    comparison : JobStatus or None
        The latest comparison with an earlier scan of the patient.
    comparison_deliveries : tuple of DeliveryStatus
        Of that comparison, in the order they are sent.
    searches : tuple of SearchStatus
        For earlier scans than this one.
    urgency : str
        Why it goes before others; empty if it does not.
    hold : str
        Why its study is on legal hold; empty if it is not.
    purged_at : datetime or None
        When its images were purged; None if they are here.
    """

    series_instance_uid: str
    study_instance_uid: str
    state: SeriesState
    reason: str
    calling_ae_title: str
    images: int
    first_received_at: datetime
    last_received_at: datetime
    job: JobStatus | None
    deliveries: tuple[DeliveryStatus, ...]
    comparison: JobStatus | None = None
    comparison_deliveries: tuple[DeliveryStatus, ...] = ()
    searches: tuple[SearchStatus, ...] = ()
    urgency: str = ""
    hold: str = ""
    purged_at: datetime | None = None

    @property
    def last_accepted_at(self) -> datetime | None:
        """When the last result was accepted; None while one is still on its way."""
        times = [delivery.accepted_at for delivery in self.deliveries]
        accepted = [time for time in times if time is not None]
        return max(accepted) if accepted and len(accepted) == len(times) else None

    @property
    def turnaround_s(self) -> float | None:
        """Seconds from the last image received to the last result accepted."""
        if self.last_accepted_at is None:
            return None
        return (self.last_accepted_at - self.last_received_at).total_seconds()


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """The node at one moment; series that moved last come first."""

    series: tuple[SeriesStatus, ...]
    series_by_state: Mapping[SeriesState, int]
    jobs_by_state: Mapping[JobState, int]
    deliveries_by_state: Mapping[DeliveryState, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class TimelineEntry:
    """Something that happened to a series; `kind` is a value of `EventKind`."""

    at: datetime
    kind: str
    text: str
    job_id: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessStatus:
    """A process of the node; `ended_at` is None while it lives."""

    name: str
    host: str
    pid: int
    started_at: datetime
    seen_at: datetime
    ended_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectStatus:
    """A result object; `path` is relative to the outbox."""

    kind: str
    sop_class_uid: str
    sop_instance_uid: str
    path: Path
