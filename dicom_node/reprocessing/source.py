"""Where the studies of a run come from: the seam between the run and an archive or a folder."""

import threading
from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from dicom_node.association.query import RemoteSeries
from dicom_node.association.retrieve import Retrieval
from dicom_node.jobs.reprocess_state import RunStatus, StudyEntry
from dicom_node.manual_runs.offer import Offer


class Source(Protocol):
    """Whatever has the studies of one run."""

    def next_study(
        self, run: RunStatus, *, now: datetime, again_at: datetime, stop: threading.Event
    ) -> StudyEntry | None:
        """Return the next study, now begun; None if none is due. May raise NodeError, OSError."""

    def is_listed(self, run: RunStatus) -> bool:
        """Return whether there is no study that the run does not know."""

    def look(self, study_uid: str, *, stop: threading.Event) -> Offer:
        """Return what there is of a study, and what of it is wanted. May raise NodeError."""

    def bring(
        self, series: Sequence[RemoteSeries], *, stop: threading.Event
    ) -> Sequence[Retrieval]:
        """Bring series into custody; return what became of each. May raise NodeError, OSError."""
