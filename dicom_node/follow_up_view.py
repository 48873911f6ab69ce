"""Comparisons and searches for earlier scans as people read them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dicom_node.jobs.state import SearchState
from dicom_node.jobs.status import JobStatus, SearchStatus

if TYPE_CHECKING:
    from dicom_node.status_view import DeliveryRow

#: What a verdict says; None is a comparison that gives none.
_VERDICTS: Mapping[bool | None, str] = {
    True: "expanded",
    False: "not expanded",
    None: "no verdict",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonRow:
    """What a person wants to know about the comparison of a series with an earlier one.

    Attributes
    ----------
    job_id : int
        Number of the comparison.
    state, reason : str
        Where it stands and why.
    outcome : str
        ``compared``, ``no_verdict``, ``refused`` or empty.
    baseline_series_instance_uid : str
        The earlier scan; empty before there is a record.
    elapsed_hours, baseline_volume_ml, follow_up_volume_ml : float or None
        What was measured.
    expanded : bool or None
        The verdict.
    flags : tuple of str
        Doubts about it.
    deliveries : tuple of DeliveryRow
        In send order.
    has_picture : bool
        Whether there is a picture of both scans.
    """

    job_id: int
    state: str
    reason: str
    outcome: str
    baseline_series_instance_uid: str
    elapsed_hours: float | None
    baseline_volume_ml: float | None
    follow_up_volume_ml: float | None
    expanded: bool | None
    flags: tuple[str, ...]
    deliveries: "tuple[DeliveryRow, ...]"
    has_picture: bool

    @property
    def words(self) -> str:
        """The comparison in a few words."""
        if self.baseline_volume_ml is None or self.follow_up_volume_ml is None:
            return f"comparison {self.state}" + (f": {self.reason}" if self.reason else "")
        hours = "" if self.elapsed_hours is None else f" in {self.elapsed_hours:.1f} h"
        volumes = f"{self.baseline_volume_ml:.1f} to {self.follow_up_volume_ml:.1f} mL"
        return f"{volumes}{hours}: {_VERDICTS[self.expanded]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchRow:
    """A search for earlier scans at one peer."""

    peer: str
    state: str
    attempts: int
    reason: str
    next_attempt_at: str

    @property
    def words(self) -> str:
        """The search in a few words."""
        waits = self.state == SearchState.PENDING and self.next_attempt_at
        when = f"; again at {self.next_attempt_at}" if waits else ""
        return f"priors at {self.peer}: {self.reason or self.state}{when}"


def comparison_row(
    job: JobStatus | None,
    *,
    deliveries: "tuple[DeliveryRow, ...]",
    has_picture: Callable[[int], bool],
) -> ComparisonRow | None:
    """Return the row of a comparison, None if there is none."""
    if job is None:
        return None
    record: Mapping[str, Any] = job.record
    return ComparisonRow(
        job_id=job.job_id,
        state=str(job.state),
        reason=job.reason,
        outcome=str(record.get("status", "")),
        baseline_series_instance_uid=str(record.get("baseline_series_instance_uid", "")),
        elapsed_hours=record.get("elapsed_hours"),
        baseline_volume_ml=record.get("baseline_volume_ml"),
        follow_up_volume_ml=record.get("follow_up_volume_ml"),
        expanded=record.get("expanded"),
        flags=tuple(str(flag) for flag in record.get("flags", ())),
        deliveries=deliveries,
        has_picture=has_picture(job.job_id),
    )


def search_row(search: SearchStatus, *, next_attempt_at: str) -> SearchRow:
    """Return the row of a search; the time is given as it is to be read."""
    return SearchRow(
        peer=search.peer,
        state=str(search.state),
        attempts=search.attempts,
        reason=search.reason,
        next_attempt_at=next_attempt_at if search.state is SearchState.PENDING else "",
    )
