"""What people asked for on the pages since the start: pulls and uploads, and how far they are.

Kept in memory: the images and what becomes of them are in the ledger.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Final

from dicom_node.errors import NodeError
from dicom_node.manual_runs.offer import OfferedSeries
from dicom_node.manual_runs.upload import MOST_NAMED, Received, RefusedFile

#: Runs that are shown; older ones are forgotten.
MOST_RUNS: Final = 30


class RunKind(StrEnum):
    """What was asked for. The values are shown."""

    PULL = "pull"
    UPLOAD = "upload"


class RunStep(StrEnum):
    """How far the images are; from then on the ledger tells. The values are shown."""

    LOOKING = "looking"
    FETCHING = "fetching"
    RECEIVED = "received"
    REFUSED = "refused"


class RunRefusedError(NodeError):
    """A run is not begun; says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What somebody asked for.

    Attributes
    ----------
    run_id : str
        Names it.
    kind, step : RunKind, RunStep
        What it is, and how far.
    who : str
        Who asked.
    at : datetime
        When.
    peer : str
        Where it comes from, empty for an upload.
    fault : str
        Why there is nothing, or not all.
    offered : tuple of OfferedSeries
        What the peer has.
    accepted, refused : int
        Images that came, files that were not taken.
    named : tuple of RefusedFile
        The first of those.
    series : tuple of (str, str)
        Study and Series Instance UIDs that are waited for.
    """

    run_id: str
    kind: RunKind
    step: RunStep
    who: str
    at: datetime
    peer: str = ""
    fault: str = ""
    offered: tuple[OfferedSeries, ...] = ()
    accepted: int = 0
    refused: int = 0
    named: tuple[RefusedFile, ...] = ()
    series: tuple[tuple[str, str], ...] = ()

    @property
    def is_open(self) -> bool:
        """Whether images are still being looked for or fetched."""
        return self.step in {RunStep.LOOKING, RunStep.FETCHING}


class RunBook:
    """Remembers runs; may be used from any thread."""

    def __init__(self) -> None:
        self._runs: OrderedDict[str, Run] = OrderedDict()
        self._lock = threading.Lock()

    def all(self) -> tuple[Run, ...]:
        """Return the runs, the latest first."""
        with self._lock:
            return tuple(reversed(self._runs.values()))

    def get(self, run_id: str) -> Run | None:
        """Return a run, None if it is not known."""
        with self._lock:
            return self._runs.get(run_id)

    def begin(self, run: Run, *, most_open: int) -> None:
        """Remember a run.

        Raises
        ------
        RunRefusedError
            If so many are under way already.
        """
        with self._lock:
            if sum(one.is_open for one in self._runs.values()) >= most_open:
                raise RunRefusedError(f"{most_open} pulls are under way; wait for one of them")
            self._keep(run)

    def change(self, run_id: str, change: Callable[[Run], Run]) -> None:
        """Change a run that may have been forgotten meanwhile."""
        with self._lock:
            if run_id in self._runs:
                self._runs[run_id] = change(self._runs[run_id])

    def add(self, run: Run, received: Received) -> Run:
        """Add to an upload what came; the first part begins it. Return how it stands."""
        with self._lock:
            before = self._runs.get(run.run_id, run)
            if before.kind is not RunKind.UPLOAD or before.who != run.who:
                raise RunRefusedError("this upload is somebody else's")
            now = replace(
                before,
                accepted=before.accepted + received.accepted,
                refused=before.refused + received.refused,
                named=(*before.named, *received.named)[:MOST_NAMED],
                series=tuple(dict.fromkeys((*before.series, *received.series))),
            )
            now = replace(now, step=RunStep.RECEIVED if now.accepted else RunStep.REFUSED)
            self._keep(now)
            return now

    def _keep(self, run: Run) -> None:
        self._runs[run.run_id] = run
        for old in [one.run_id for one in self._runs.values() if not one.is_open]:
            if len(self._runs) <= MOST_RUNS:
                return
            del self._runs[old]
