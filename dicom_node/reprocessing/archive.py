"""The studies of a peer: listed day by day, or named one by one; fetched like a study by hand."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Protocol

from dicom_node.association.peers import Peer
from dicom_node.association.query import RemoteSeries
from dicom_node.association.retrieve import Retrieval
from dicom_node.association.study_query import StudyWish
from dicom_node.jobs.reprocess_ledger import ReprocessLedger
from dicom_node.jobs.reprocess_state import RunStatus, StudyEntry
from dicom_node.manual_runs.offer import Offer
from dicom_node.manual_runs.pull import Pull


class ListDay(Protocol):
    """Whatever asks a peer for a day; `dicom_node.association.study_listing.find_study_uids`."""

    def __call__(
        self, peer: Peer, day: date, *, modality: str, stop: threading.Event
    ) -> tuple[str, ...]:
        """Return the studies of a day. May raise NodeError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveSource:
    """Lists a day when the studies of the days before have had their turn.

    Attributes
    ----------
    ledger : ReprocessLedger
        Where the studies are listed; how far is in it, so that a restart goes on there.
    pull : Pull
        Looks at a study, and fetches.
    list_day : ListDay
        Asks for a day.
    clock : callable
        Returns the present as an aware time.
    """

    ledger: ReprocessLedger
    pull: Pull
    list_day: ListDay
    clock: Callable[[], datetime]

    def next_study(
        self, run: RunStatus, *, now: datetime, again_at: datetime, stop: threading.Event
    ) -> StudyEntry | None:
        """Return the next study; list one more day if there is none."""
        entry = self.ledger.studies.next_study(run.run_id, now=now, again_at=again_at)
        if entry is None and not run.is_listed:
            self._list_more(run, stop)
            entry = self.ledger.studies.next_study(run.run_id, now=self.clock(), again_at=again_at)
        return entry

    def is_listed(self, run: RunStatus) -> bool:
        """Return whether every day was listed."""
        return run.is_listed

    def look(self, study_uid: str, *, stop: threading.Event) -> Offer:
        """Return what the peer has of a study. Raises NodeError."""
        return self.pull.look(StudyWish(study_uid=study_uid), stop=stop)

    def bring(
        self, series: Sequence[RemoteSeries], *, stop: threading.Event
    ) -> Sequence[Retrieval]:
        """Fetch series. Raises NodeError."""
        return self.pull.fetch(series, stop=stop)

    def _list_more(self, run: RunStatus, stop: threading.Event) -> None:
        request = run.request
        if request.first_day is None or request.last_day is None:
            return
        done = int(run.cursor or 0)
        day = request.first_day + timedelta(days=done)
        studies = self.list_day(self.pull.peer, day, modality=request.modality, stop=stop)
        self.ledger.list_studies(
            run.run_id,
            studies,
            cursor=str(done + 1),
            units_done=done + 1,
            is_listed=day >= request.last_day,
            now=self.clock(),
        )
