"""How the node behaves towards a worklist, and what it needs for that."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from dicom_node.association.query import RemoteSeries
from dicom_node.association.retrieve import Retrieval
from dicom_node.jobs.urgent_lane import UrgentLane
from dicom_node.jobs.workitem_standing import WorkitemStandings
from dicom_node.jobs.worklist_ledger import WorklistLedger
from dicom_node.worklist.data_elements import Elements
from dicom_node.worklist.reports import Place
from dicom_node.worklist.workitem import ClaimRules, StepState, Workitem


class Worklist(Protocol):
    """A worklist server; `dicom_node.worklist.service.WorklistService`."""

    def search(self, codes: Sequence[str]) -> Iterator[Workitem]:
        """Yield scheduled workitems."""

    def retrieve(self, workitem_uid: str) -> Workitem:
        """Return a workitem."""

    def change_state(self, workitem_uid: str, to: StepState, transaction_uid: str) -> None:
        """Claim, complete or cancel a workitem."""

    def update(self, workitem_uid: str, changes: Elements, transaction_uid: str) -> None:
        """Write into a workitem."""


class Fetcher(Protocol):
    """Whatever brings series into custody; a `dicom_node.jobs.prior_seeker.Fetch`."""

    def __call__(
        self, series: Sequence[RemoteSeries], *, stop: threading.Event
    ) -> tuple[Retrieval, ...]:
        """Return what became of each. May raise NodeError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conduct:
    """How the node behaves towards one worklist.

    Attributes
    ----------
    claims : ClaimRules
        What it claims.
    station : mapping
        Code by which it names itself (``value``, ``scheme``, ``meaning``).
    places : mapping
        Where each destination lets results be retrieved.
    fetch : Fetcher or None
        How images come that are not here; None if they are sent.
    fetches_studies : bool
        Whether a study can be fetched of which no series is named.
    poll_s, longest_wait_s : float
        Pause between two looks; the longest one while the server is away.
    images_limit_s : float
        Patience for images.
    at_most : int
        Workitems in hand at the same time.
    """

    claims: ClaimRules
    station: Mapping[str, str]
    places: Mapping[str, Place]
    fetch: Fetcher | None = None
    fetches_studies: bool = False
    poll_s: float = 15.0
    longest_wait_s: float = 600.0
    images_limit_s: float = 3600.0
    at_most: int = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """The parts of the ledger that a performer reads and writes."""

    worklists: WorklistLedger
    standings: WorkitemStandings
    urgent_lane: UrgentLane
