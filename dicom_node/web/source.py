"""What the status page asks for."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

from dicom_node.status_view import EventRow, SeriesRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """Whether the node does its work.

    Attributes
    ----------
    healthy : bool
        Every process lives and the disk has room.
    faults : tuple of str
        What is wrong, in words.
    warnings : tuple of str
        What will be wrong soon, or is odd, in words.
    certificate_days : Mapping
        Whole days that each certificate still holds.
    processes : Mapping
        Seconds since each process was last seen alive.
    free_space_mb : int
        Room on the disk of the data directory.
    jobs, deliveries : Mapping
        How many there are of each state.
    version : str
        Version of the node.
    """

    healthy: bool
    faults: tuple[str, ...]
    processes: Mapping[str, float]
    free_space_mb: int
    jobs: Mapping[str, int]
    deliveries: Mapping[str, int]
    version: str
    warnings: tuple[str, ...] = ()
    certificate_days: Mapping[str, int] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Return the facts for JSON."""
        return asdict(self)


class StatusSource(Protocol):
    """Answers what the status page shows; all of it read from the ledger at the time of asking."""

    def rows(self) -> Sequence[SeriesRow]:
        """Return the newest series first."""

    def row(self, series_instance_uid: str) -> SeriesRow | None:
        """Return one series, None if the ledger does not know it."""

    def timeline(self, series_instance_uid: str) -> Sequence[EventRow]:
        """Return what happened to a series, oldest first."""

    def picture(self, job_id: int) -> Path | None:
        """Return the summary picture of an analysis, None if there is none."""

    def health(self) -> Health:
        """Return whether the node does its work."""
