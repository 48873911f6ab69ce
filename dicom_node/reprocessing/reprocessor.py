"""Works off a re-read: one study at a time, and only while nothing that is waited for is about."""

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from dicom_node.association.retrieve import Retrieval
from dicom_node.errors import (
    LedgerError,
    NodeError,
    PeerError,
    QueryRefusedError,
    describe_error,
    stack_of,
)
from dicom_node.jobs.reprocess_ledger import ReprocessLedger
from dicom_node.jobs.reprocess_state import RunState, RunStatus, StudyEntry, StudyState
from dicom_node.lasting_thread import LastingThread
from dicom_node.manual_runs.offer import Offer
from dicom_node.reprocessing.source import Source

LOGGER = logging.getLogger(__name__)

_MINUTE_S: Final = 60.0

#: A peer that is away is asked again after these waits.
_FIRST_WAIT_S: Final = 5.0
_LONGEST_WAIT_S: Final = 300.0

LIVE_FIRST: Final = "live work goes first"
NO_ROOM: Final = "the disk is nearly full"
NOTHING: Final = "nothing of it may be analysed"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReprocessRules:
    """How patient a run is.

    Attributes
    ----------
    abandoned : timedelta
        A study whose office died is begun again after so long, if nobody frees it before.
    again : timedelta
        A study that a peer refuses is tried again after so long.
    attempts : int
        So often.
    patience_s : float
        So long it is waited for the first image of a series.
    """

    abandoned: timedelta = timedelta(minutes=30)
    again: timedelta = timedelta(minutes=10)
    attempts: int = 3
    patience_s: float = 300.0


_RULES: Final = ReprocessRules()


class Reprocessor:
    """The thread of the office that works off the run that is under way, if there is one.

    Whatever it knows is in the ledger: it goes on where it stood, whatever was killed.

    Parameters
    ----------
    ledger
        Knows the run.
    source_of
        Returns where the studies of a run come from. May raise NodeError, OSError.
    has_room
        Whether the disk has room for more studies.
    clock
        Returns the present as an aware time.
    rules
        How patient it is.
    poll_s
        Pause when there is nothing to do.
    """

    def __init__(
        self,
        *,
        ledger: ReprocessLedger,
        source_of: Callable[[RunStatus], Source],
        has_room: Callable[[], bool],
        clock: Callable[[], datetime],
        rules: ReprocessRules = _RULES,
        poll_s: float = 1.0,
    ) -> None:
        self._ledger = ledger
        self._source_of = source_of
        self._has_room = has_room
        self._clock = clock
        self._rules = rules
        self._poll_s = poll_s
        self._source: tuple[int, Source] | None = None
        self._failures = 0
        self._not_before: datetime | None = None
        self._stop = threading.Event()
        self._thread = LastingThread(target=self._serve, name="reprocess")

    def start(self) -> None:
        """Begin to look for a run."""
        self._thread.start()

    def stop(self) -> None:
        """End; a study in hand is broken off and begun again later."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def work_once(self) -> bool:
        """Do what is due; return whether a study had its turn. Raises LedgerError."""
        run = self._ledger.under_way()
        if run is None:
            self._source = None
            return False
        now = self._clock()
        if self._ledger.studies.in_hand(run.run_id):
            self._ledger.studies.settle(run.run_id, now, patience_s=self._rules.patience_s)
        if not self._is_awake(run, now):
            return False
        why = self._reason_to_wait(run, now)
        if why is not None:
            self._note(run, why)
            return False
        try:
            source = self._source_for(run, now)
            entry = source.next_study(
                run, now=now, again_at=now + self._rules.abandoned, stop=self._stop
            )
        except (PeerError, QueryRefusedError, OSError) as error:
            self._back_off(run, _words(error))
            return False
        if entry is None:
            self._end_or_wait(run, source)
            return False
        self._note(run, "")
        self._take(run, entry, source)
        return True

    def _serve(self) -> None:
        while not self._stop.is_set():
            try:
                busy = self.work_once()
            except LedgerError as error:
                LOGGER.warning("The re-read cannot reach the ledger: %s", error)
                busy = False
            except Exception as error:  # noqa: BLE001 - nobody waits for it: it must not end the office
                LOGGER.error("The re-read failed: %s", stack_of(error))  # noqa: TRY400
                self._stop.wait(_LONGEST_WAIT_S)
                busy = False
            if not busy:
                self._stop.wait(self._poll_s)

    def _source_for(self, run: RunStatus, now: datetime) -> Source:
        if self._source is None or self._source[0] != run.run_id:
            # Whoever had a study of it in hand is dead: there is one office.
            self._ledger.studies.free(run.run_id, now)
            self._source = (run.run_id, self._source_of(run))
        return self._source[1]

    def _is_awake(self, run: RunStatus, now: datetime) -> bool:
        """Return whether the run may use this hour of the day; it rests or wakes accordingly."""
        may = run.request.is_open_at(now.astimezone())
        if may is (run.state is RunState.RESTING):
            self._ledger.move(run.run_id, RunState.RUNNING if may else RunState.RESTING, now)
        return may

    def _reason_to_wait(self, run: RunStatus, now: datetime) -> str | None:
        """Return why no study may begin now; empty words if that is only its pace."""
        request = run.request
        if self._not_before is not None and now < self._not_before:
            return run.note
        if request.per_minute > 0 and run.begun_at is not None:
            pause = timedelta(seconds=_MINUTE_S / request.per_minute)
            if run.begun_at <= now < run.begun_at + pause:
                return ""
        if self._ledger.studies.in_hand(run.run_id) >= request.most_waiting:
            return ""
        if not self._has_room():
            return NO_ROOM
        return LIVE_FIRST if self._ledger.live_work(now) else None

    def _take(self, run: RunStatus, entry: StudyEntry, source: Source) -> None:
        """Bring a study as far as the queue, or to its end."""
        try:
            self._bring(run, entry, source)
            self._failures, self._not_before = 0, None
        except LedgerError:
            raise
        except (PeerError, OSError) as error:
            now = self._clock()
            self._ledger.studies.postpone(entry, _words(error), again_at=now, counts=False)
            if not self._stop.is_set():
                self._back_off(run, _words(error))
        except QueryRefusedError as error:
            self._try_again(entry, str(error))
        except Exception as error:  # noqa: BLE001 - a study must have a state, like a delivery
            LOGGER.error("A study of run %s failed: %s", run.run_id, stack_of(error))  # noqa: TRY400
            self._try_again(entry, describe_error(error, trusted=(NodeError,)))

    def _bring(self, run: RunStatus, entry: StudyEntry, source: Source) -> None:
        studies, seen_by = self._ledger.studies, run.request.unless_model
        if seen_by and self._ledger.was_seen(entry.study_uid, seen_by):
            words = f"models {seen_by} have seen it"
            studies.end(entry, StudyState.SKIPPED, words, now=self._clock())
            return
        offer = source.look(entry.study_uid, stop=self._stop)
        if not offer.studies:
            reason = _objections(offer)
            studies.end(entry, StudyState.NOT_ELIGIBLE, reason, now=self._clock())
            return
        studies.ask_for(entry, wanted=offer.wanted, here=offer.here, now=self._clock())
        done = source.bring(offer.wanted, stop=self._stop) if offer.wanted else ()
        images = sum(one.completed for one in done)
        fault = _fault(done)
        if fault and (entry.attempts < self._rules.attempts or not (images or offer.here)):
            raise QueryRefusedError(fault)
        studies.queue(entry, images=images, now=self._clock())

    def _try_again(self, entry: StudyEntry, reason: str) -> None:
        now = self._clock()
        if self._stop.is_set():
            self._ledger.studies.postpone(entry, "broken off", again_at=now, counts=False)
        elif entry.attempts >= self._rules.attempts:
            self._ledger.studies.end(entry, StudyState.FAILED, reason, now=now)
        else:
            again_at = now + self._rules.again
            self._ledger.studies.postpone(entry, reason, again_at=again_at, counts=True)

    def _back_off(self, run: RunStatus, reason: str) -> None:
        """Leave a peer or a folder that is away alone for a while."""
        wait_s = min(_FIRST_WAIT_S * 2.0**self._failures, _LONGEST_WAIT_S)
        self._failures += 1
        self._not_before = self._clock() + timedelta(seconds=wait_s)
        LOGGER.warning("Run %s waits %s s: %s", run.run_id, wait_s, reason)
        self._note(run, reason)

    def _end_or_wait(self, run: RunStatus, source: Source) -> None:
        if source.is_listed(run) and not self._ledger.studies.has_open(run.run_id):
            self._ledger.move(run.run_id, RunState.FINISHED, self._clock())
            LOGGER.info("Run %s is finished", run.run_id)

    def _note(self, run: RunStatus, words: str) -> None:
        if words != run.note:
            self._ledger.note(run.run_id, words)


def _objections(offer: Offer) -> str:
    return "; ".join(dict.fromkeys(one.reason for one in offer.series)) or NOTHING


def _fault(done: Sequence[Retrieval]) -> str:
    """Return what did not come, in words; empty if everything did."""
    faults = "; ".join(dict.fromkeys(one.message for one in done if one.message))
    failed = sum(one.failed for one in done)
    return faults or (f"{failed} images did not come" if failed else "")


def _words(error: Exception) -> str:
    """Return what an error says; of the operating system's no path, which may name a patient."""
    if isinstance(error, NodeError):
        return str(error)
    if isinstance(error, OSError):
        return f"the folder cannot be read: {error.strerror or type(error).__name__}"
    return describe_error(error)
