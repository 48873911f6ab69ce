"""Looks at the peers for earlier scans of the patients that were analysed."""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, Protocol

from dicom_node.association.peers import Peer
from dicom_node.association.query import RemoteSeries, StudyQuery
from dicom_node.association.retrieve import Retrieval
from dicom_node.errors import (
    NodeError,
    PeerError,
    QueryRefusedError,
    UnaskablePatientError,
    describe_error,
    stack_of,
)
from dicom_node.intake.patient_identity import read_patient_identity
from dicom_node.intake.prior_choice import choose_priors
from dicom_node.intake.selection import SelectionRules
from dicom_node.jobs.prior_ledger import PriorLedger, PriorSearch
from dicom_node.jobs.retry import RetryPolicy, next_attempt
from dicom_node.lasting_thread import LastingThread

LOGGER = logging.getLogger(__name__)

#: A search whose process died is tried again after this long.
ABANDONED: Final = timedelta(minutes=30)

_POLICY: Final = RetryPolicy(max_attempts=8, first_delay_s=60.0, factor=4.0, cap_s=3600.0)

#: Images that could not be fetched are asked for so often; a PACS may have one that is broken.
_INCOMPLETE_ATTEMPTS: Final = 2

NOTHING: Final = "no earlier head CT in the window"


class Find(Protocol):
    """Whatever asks a peer what it has."""

    def __call__(
        self, peer: Peer, query: StudyQuery, *, stop: threading.Event
    ) -> tuple[RemoteSeries, ...]:
        """Return the CT series of a patient in a range of days. May raise NodeError."""


class Fetch(Protocol):
    """Whatever has one peer send series into custody."""

    def __call__(
        self, series: Sequence[RemoteSeries], *, stop: threading.Event
    ) -> tuple[Retrieval, ...]:
        """Return what became of each. May raise NodeError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PriorSource:
    """A peer that has earlier scans.

    Attributes
    ----------
    peer : Peer
        Who is asked.
    fetch : Fetch
        How its images come.
    """

    peer: Peer
    fetch: Fetch


@dataclass(frozen=True, slots=True, kw_only=True)
class SeekingRules:
    """What is looked for, and how often.

    Attributes
    ----------
    window : timedelta
        How long before a scan an earlier one may have been taken.
    selection : SelectionRules
        What the site analyses.
    retry : RetryPolicy
        Attempts at a peer that is away or refuses.
    """

    window: timedelta
    selection: SelectionRules
    retry: RetryPolicy = field(default=_POLICY)


class PriorSeeker:
    """Works off the searches, in a thread per peer: one that is slow holds up nobody else.

    It runs after the first result of a study and beside everything else: neither assembly nor
    analysis nor delivery waits for it.

    Parameters
    ----------
    ledger
        What is due.
    sources
        Peers by name.
    spool_root
        Folder of the received files.
    rules
        What is looked for.
    find
        Asks a peer.
    clock
        Returns the present as an aware time.
    poll_s
        Pause when nothing is due.
    """

    def __init__(
        self,
        *,
        ledger: PriorLedger,
        sources: Mapping[str, PriorSource],
        spool_root: Path,
        rules: SeekingRules,
        find: Find,
        clock: Callable[[], datetime],
        poll_s: float = 2.0,
    ) -> None:
        self._ledger = ledger
        self._sources = dict(sources)
        self._spool_root = spool_root
        self._rules = rules
        self._find = find
        self._clock = clock
        self._poll_s = poll_s
        self._stop = threading.Event()
        self._threads = [
            LastingThread(target=self._serve, args=(name,), name=f"priors-{name}")
            for name in self._sources
        ]

    def start(self) -> None:
        """Begin to search at every peer."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End; a search under way is broken off and tried again later."""
        self._stop.set()
        for thread in self._threads:
            if thread.is_alive():
                thread.join()

    def seek_once(self, name: str) -> bool:
        """Do one search at a peer; return whether there was one. Raises LedgerError."""
        now = self._clock()
        search = self._ledger.begin(name, now=now, again_at=now + ABANDONED)
        if search is None:
            return False
        try:
            outcome = self._seek(search, self._sources[name])
        except UnaskablePatientError as error:
            self._ledger.postpone(search, str(error), again_at=None, now=self._clock())
        except (PeerError, QueryRefusedError) as error:
            self._postpone(search, name, str(error))
        except Exception as error:  # noqa: BLE001 - a search must have a state, like a delivery
            LOGGER.error("A search at %s failed: %s", name, stack_of(error))  # noqa: TRY400
            self._postpone(search, name, describe_error(error, trusted=(NodeError,)))
        else:
            LOGGER.info("Earlier scans for %s at %s: %s", search.series_uid, name, outcome)
            self._ledger.finish(search, outcome, now=self._clock())
        return True

    def _serve(self, name: str) -> None:
        while not self._stop.is_set():
            try:
                busy = self.seek_once(name)
            except NodeError as error:
                LOGGER.warning("The search for earlier scans cannot reach the ledger: %s", error)
                busy = False
            if not busy:
                self._stop.wait(self._poll_s)

    def _seek(self, search: PriorSearch, source: PriorSource) -> str:
        """Ask, choose, fetch; return the outcome in words."""
        taken = search.acquired_at.replace(tzinfo=None)  # a PACS knows the clock on the wall only
        query = StudyQuery(
            patient=read_patient_identity(self._spool_root / search.image),
            first_day=(taken - self._rules.window).date(),
            last_day=taken.date(),
        )
        offered = self._find(source.peer, query, stop=self._stop)
        studies = {one.study_instance_uid for one in offered}
        chosen = choose_priors(
            offered,
            before=taken,
            known_series=self._ledger.known_series(
                search, (one.series_instance_uid for one in offered)
            ),
            known_studies=self._ledger.known_studies(search, studies) | {search.study_uid},
            rules=self._rules.selection,
        )
        if not chosen:
            return NOTHING if studies <= {search.study_uid} else f"{NOTHING} that is not here yet"
        self._ledger.note_asked(search, chosen, self._clock())
        done = source.fetch(chosen, stop=self._stop)
        return _outcome(done, is_last=search.attempts >= _INCOMPLETE_ATTEMPTS)

    def _postpone(self, search: PriorSearch, name: str, reason: str) -> None:
        now = self._clock()
        if self._stop.is_set():
            words = "broken off, for the node was stopped"
            self._ledger.postpone(search, words, again_at=now, now=now)
            return
        LOGGER.warning("A search at %s waits: %s", name, reason)
        again_at = next_attempt(self._rules.retry, failures=search.attempts, now=now)
        self._ledger.postpone(search, reason, again_at=again_at, now=now)


def _outcome(done: Sequence[Retrieval], *, is_last: bool) -> str:
    """Return in words what was fetched.

    Raises
    ------
    QueryRefusedError
        If not one image was, or some were not and it is not the last attempt.
    """
    images = sum(one.completed for one in done)
    faults = "; ".join(dict.fromkeys(one.message for one in done if one.message))
    failed = sum(one.failed for one in done)
    if not images:
        raise QueryRefusedError(faults or f"none of {failed} images could be fetched")
    words = f"fetched {images} images of {len(done)} series"
    if failed:
        words += f", {failed} failed"
    words = f"{words} ({faults})" if faults else words
    if failed and not is_last:
        raise QueryRefusedError(words)
    return words
