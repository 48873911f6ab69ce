"""What the pages ask for."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from dicom_node.status_view import EventRow, SeriesRow

if TYPE_CHECKING:
    from dicom_node.web.overview import NodeOverview
    from dicom_node.web.visitor import Visitor


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
    """Answers how series and node stand; all of it read from the ledger at the time of asking."""

    def rows(self) -> Sequence[SeriesRow]:
        """Return the newest series first."""

    def row(self, series_instance_uid: str) -> SeriesRow | None:
        """Return one series, None if the ledger does not know it."""

    def timeline(self, series_instance_uid: str) -> Sequence[EventRow]:
        """Return what happened to a series, oldest first."""

    def health(self) -> Health:
        """Return whether the node does its work."""


class OverviewSource(Protocol):
    """Answers how the node is at a glance."""

    def look(self) -> "NodeOverview":
        """Return the node at this moment. Raises LedgerError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultFile:
    """A result object that can be taken away.

    Attributes
    ----------
    kind : str
        What it is.
    sop_class_uid, sop_instance_uid : str
        Which.
    path : Path
        The file.
    is_here : bool
        Whether it was not purged.
    """

    kind: str
    sop_class_uid: str
    sop_instance_uid: str
    path: Path
    is_here: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyImage:
    """A single image of a result.

    Attributes
    ----------
    name : str
        In its address.
    shows : str
        What is to be seen in it, in words of `dicom_node.web.words.IMAGES`.
    is_here : bool
        Whether it was not purged.
    """

    name: str
    shows: str
    is_here: bool


class ResultSource(Protocol):
    """Answers where pictures and objects of results lie, and what a study is called."""

    def picture(self, job_id: int) -> Path | None:
        """Return the summary picture of an analysis or comparison, None if there is none."""

    def objects(self, job_id: int) -> Sequence[ResultFile]:
        """Return the result objects of a job, in the order they are sent."""

    def key_images(self, job_id: int) -> Sequence[KeyImage]:
        """Return the single images of a job: the largest slice, then its captures."""

    def key_picture(self, job_id: int, name: str) -> bytes | None:
        """Return a single image as PNG, None if there is none or it was purged."""

    def patient_id(self, study_instance_uid: str) -> str:
        """Return the Patient ID of a study as an image says it; empty if none can be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditState:
    """How the audit trail stands.

    Attributes
    ----------
    is_on : bool
        Whether the site wants one.
    repository : str
        Where messages go, and how.
    waiting, limit : int
        Messages that the repository does not have yet, and how many are kept.
    oldest_at : datetime or None
        When the oldest of them was written.
    fault : str
        Why the last attempt failed; empty if it did not.
    fault_at : datetime or None
        When that was written down.
    """

    is_on: bool
    repository: str
    waiting: int
    limit: int
    oldest_at: datetime | None
    fault: str
    fault_at: datetime | None


class AuditNotes(Protocol):
    """Takes down what people do."""

    def state(self) -> AuditState:
        """Return how the audit trail stands. Raises LedgerError."""

    def intervened(self, visitor: "Visitor", what: str, studies: Sequence[str]) -> None:
        """Note that an operator told the node to do something."""

    def account_changed(self, visitor: "Visitor", whose: str, what: str) -> None:
        """Note that an account was made, changed or closed."""

    def looked_at(self, visitor: "Visitor", study_instance_uid: str) -> None:
        """Note that somebody saw the images of a study."""

    def downloaded(self, visitor: "Visitor", study_instance_uid: str, sop_class_uid: str) -> None:
        """Note that somebody took an object of a study away."""
