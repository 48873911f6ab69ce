"""Performs workitems: claims them, tells how far they are, and how they end."""

import logging
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from dicom_node.association.query import RemoteSeries
from dicom_node.errors import NodeError, PeerError, QueryRefusedError, describe_error, stack_of
from dicom_node.jobs.retry import RetryPolicy, next_attempt
from dicom_node.jobs.state import WorkitemState
from dicom_node.jobs.worklist_ledger import InputSeries, NewWorkitem, OpenWorkitem
from dicom_node.lasting_thread import LastingThread
from dicom_node.results.workitem_codes import Discontinuation
from dicom_node.worklist.conduct import Books, Conduct, Worklist
from dicom_node.worklist.judgement import (
    Case,
    Complete,
    Discontinue,
    Fetch,
    Judgement,
    Wait,
    judge,
)
from dicom_node.worklist.reports import Performance, completion, discontinuation, progress
from dicom_node.worklist.service import WorkitemRefusedError
from dicom_node.worklist.workitem import StepState, is_wanted

LOGGER = logging.getLogger(__name__)

#: A server that refuses the end of a workitem so often will not take it any more.
_ATTEMPTS: Final = 12

_URGENT_WORDS: Final = "priority HIGH in a workitem"

_FINAL: Final = {
    WorkitemState.COMPLETING: (StepState.COMPLETED, WorkitemState.COMPLETED),
    WorkitemState.CANCELING: (StepState.CANCELED, WorkitemState.CANCELED),
}


class Performer:
    """Serves one worklist in a thread of its own, beside everything else that the node does.

    What it must not forget is in the ledger before the server hears of it: the transaction UID
    before the claim, how a workitem ends before the server is told. So it can be killed at any
    moment and goes on where it was.

    Parameters
    ----------
    name
        Of the worklist.
    server
        The worklist.
    books
        Of the ledger.
    conduct
        How it behaves.
    new_uid
        Makes transaction UIDs.
    clock
        Returns the present as an aware time.
    pause_s
        How often it looks whether it is time.
    """

    def __init__(
        self,
        name: str,
        *,
        server: Worklist,
        books: Books,
        conduct: Conduct,
        new_uid: Callable[[], str],
        clock: Callable[[], datetime],
        pause_s: float = 1.0,
    ) -> None:
        self._name = name
        self._server = server
        self._ledger = books.worklists
        self._standings = books.standings
        self._lane = books.urgent_lane
        self._conduct = conduct
        self._new_uid = new_uid
        self._clock = clock
        self._pause_s = pause_s
        self._stop = threading.Event()
        self._thread = LastingThread(target=self._serve, name=f"worklist-{name}")

    def start(self) -> None:
        """Begin to look at the worklist."""
        self._thread.start()

    def stop(self) -> None:
        """End; what is being fetched is broken off and fetched again later."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def look(self) -> None:
        """Do everything that is due now. Raises LedgerError."""
        now = self._clock()
        if not self._ledger.is_due(self._name, now):
            return
        try:
            for item in self._ledger.due(self._name, now):
                if self._stop.is_set():
                    return
                self._advance(item)
            self._claim_new()
        except PeerError as error:
            self._wait_longer(error)
        else:
            again_at = self._clock() + timedelta(seconds=self._conduct.poll_s)
            self._ledger.reached(self._name, again_at=again_at, now=self._clock())

    def _serve(self) -> None:
        while not self._stop.is_set():
            try:
                self.look()
            except NodeError as error:
                LOGGER.warning("The performer of %s cannot go on: %s", self._name, error)
            except Exception as error:  # noqa: BLE001 - a worklist that answers nonsense stops nobody
                LOGGER.error("The performer of %s failed: %s", self._name, stack_of(error))  # noqa: TRY400
                self._wait_longer(error)
            self._stop.wait(self._pause_s)

    def _wait_longer(self, error: Exception) -> None:
        """Ask again later, and later each time."""
        now = self._clock()
        words = describe_error(error, trusted=(NodeError,))
        failures = self._ledger.failures(self._name) + 1
        again_at = now + self._wait(failures)
        LOGGER.warning("The worklist %s waits: %s", self._name, words)
        self._ledger.failed(self._name, words, again_at=again_at, now=now)

    def _wait(self, failures: int) -> timedelta:
        policy = RetryPolicy(
            max_attempts=failures + 1,
            first_delay_s=self._conduct.poll_s,
            cap_s=max(self._conduct.longest_wait_s, self._conduct.poll_s),
        )
        now = self._clock()
        again_at = next_attempt(policy, failures=failures, now=now)
        return (again_at or now) - now

    def _claim_new(self) -> None:
        """Claim what fits, urgent workitems first, then in the order they are scheduled."""
        room = self._conduct.at_most - self._ledger.in_hand(self._name)
        if room <= 0:
            return
        rules = self._conduct.claims
        codes = () if rules.labels else sorted(rules.codes)
        found = {one.uid: one for one in self._server.search(codes) if is_wanted(one, rules)}
        known = self._ledger.known(self._name, found)
        fresh = [one for uid, one in found.items() if uid not in known]
        for one in sorted(fresh, key=lambda one: (not one.high, one.starts, one.uid)):
            if room <= 0 or self._stop.is_set():
                return
            room -= self._claim_one(one.uid)

    def _claim_one(self, workitem_uid: str) -> bool:
        """Claim a workitem if it still fits; return whether it is in hand."""
        try:
            one = self._server.retrieve(workitem_uid)
        except WorkitemRefusedError:
            return False  # gone meanwhile
        if not is_wanted(one, self._conduct.claims) or not one.inputs:
            return False
        new = NewWorkitem(
            workitem_uid=one.uid,
            transaction_uid=self._new_uid(),
            inputs=one.inputs,
            code=one.code,
            urgent=one.high,
        )
        item = self._ledger.begin(self._name, new, self._clock())
        return self._claim(item)

    def _claim(self, item: OpenWorkitem) -> bool:
        """Ask for a workitem; return whether it is the node's."""
        try:
            self._server.change_state(
                item.workitem_uid, StepState.IN_PROGRESS, item.transaction_uid
            )
        except WorkitemRefusedError as error:
            if not self._is_ours(item):
                LOGGER.info("Workitem %s is not the node's: %s", item.workitem_uid, error)
                self._ledger.finish(
                    item, WorkitemState.LOST, self._clock(), reason=f"not claimed: {error}"
                )
                return False
        item = self._ledger.claimed(item, self._clock())
        LOGGER.info("Claimed workitem %s of %s", item.workitem_uid, self._name)
        try:
            self._perform(item)
        except WorkitemRefusedError as error:
            self._refused(item, error)
        return True

    def _is_ours(self, item: OpenWorkitem) -> bool:
        """Return whether the server took a claim whose answer never came: its key fits then."""
        now = self._clock()
        told = progress(0, "claimed", self._performance(item, now))
        try:
            self._server.update(item.workitem_uid, told, item.transaction_uid)
            return self._server.retrieve(item.workitem_uid).state == StepState.IN_PROGRESS
        except WorkitemRefusedError:
            return False

    def _advance(self, item: OpenWorkitem) -> None:
        """Bring one workitem as far as it goes."""
        if item.state is WorkitemState.CLAIMING:
            self._claim(item)
            return
        try:
            state = self._look_at(item)
            if state is None:
                return
            if item.state is WorkitemState.PERFORMING:
                self._perform(state)
            else:
                self._end(item)
        except WorkitemRefusedError as error:
            self._refused(item, error)

    def _look_at(self, item: OpenWorkitem) -> OpenWorkitem | None:
        """Return a workitem as it is after a look at the server, None if it is at its end."""
        one = self._server.retrieve(item.workitem_uid)
        if one.state in {StepState.COMPLETED, StepState.CANCELED}:
            wanted = _FINAL.get(item.state)
            if wanted is not None and one.state == wanted[0]:
                self._finish(item, wanted[1])
            else:
                self._lose(item, f"the server says {one.state}")
            return None
        if one.state == StepState.SCHEDULED and item.state is WorkitemState.PERFORMING:
            self._claim(self._ledger.reclaim(item))
            return None
        # Once the end is decided, what is there of a cancellation is what the node wrote itself.
        is_open = item.state is WorkitemState.PERFORMING
        if is_open and one.cancel_reason and not item.cancel_reason:
            return self._ledger.note(item, cancel_reason=one.cancel_reason)
        return item

    def _perform(self, item: OpenWorkitem) -> None:
        """Look how far the analysis is, tell it, and end the workitem if it is done."""
        now = self._clock()
        if item.urgent:
            for study_uid in self._standings.not_urgent(item.inputs):
                self._lane.hurry(study_uid, now, reason=_URGENT_WORDS)
        judgement = self._judge(item, now)
        if isinstance(judgement, Fetch):
            self._tell(item, Wait(percent=5, words="fetching images"))
            judgement = self._fetch(item, judgement)
        if isinstance(judgement, Wait):
            self._tell(item, judgement)
        elif isinstance(judgement, Complete):
            ending = {"result_sets": list(judgement.result_sets), "at": now.isoformat()}
            self._end(self._ledger.decide(item, WorkitemState.COMPLETING, ending, ""))
        elif isinstance(judgement, Discontinue):
            self._discontinue(item, judgement, now)

    def _judge(self, item: OpenWorkitem, now: datetime) -> Judgement:
        named = all(one.series_uid for one in item.inputs)
        conduct = self._conduct
        case = Case(
            inputs=item.inputs,
            standing=self._standings.of(item.inputs),
            claimed_at=item.claimed_at or item.created_at,
            can_fetch=conduct.fetch is not None
            and not item.fetched
            and (named or conduct.fetches_studies),
            was_broken_off=item.fetching,
            cancel_reason=item.cancel_reason,
        )
        found = judge(case, images_limit=timedelta(seconds=conduct.images_limit_s), now=now)
        if isinstance(found, Complete) and not self._standings.delivered(found.result_sets):
            return Discontinue(
                code=Discontinuation.UNSPECIFIED, words="no destination has the results"
            )
        return found

    def _fetch(self, item: OpenWorkitem, wanted: Fetch) -> Judgement:
        """Fetch images; what cannot be fetched now is fetched with the next look."""
        series = [_remote(one) for one in wanted.series]
        if self._conduct.fetch is None:
            return Wait(percent=0, words="waiting for images")
        self._ledger.note(item, fetching=True)
        try:
            done = self._conduct.fetch(series, stop=self._stop)
        except (PeerError, QueryRefusedError) as error:
            LOGGER.warning("Images for workitem %s wait: %s", item.workitem_uid, error)
            return Wait(percent=0, words="the images cannot be fetched yet")
        images = sum(one.completed for one in done)
        LOGGER.info("Fetched %s images for workitem %s", images, item.workitem_uid)
        self._ledger.note(item, fetching=False, fetched=images > 0)
        return Wait(percent=10, words="receiving images")

    def _discontinue(self, item: OpenWorkitem, found: Discontinue, now: datetime) -> None:
        if found.requested:
            self._standings.withdraw(item, "the workitem was cancelled", now)
        ending = {"code": found.code.name, "words": found.words, "at": now.isoformat()}
        self._end(self._ledger.decide(item, WorkitemState.CANCELING, ending, found.words))

    def _tell(self, item: OpenWorkitem, wait: Wait) -> None:
        """Tell the server how far it is, unless it knows."""
        told = f"{wait.percent} % {wait.words}"
        if told == item.told:
            return
        performance = self._performance(item, self._clock())
        body = progress(wait.percent, wait.words, performance)
        self._server.update(item.workitem_uid, body, item.transaction_uid)
        self._ledger.note(item, told=told)

    def _end(self, item: OpenWorkitem) -> None:
        """Tell the server how a workitem ended, then that it ended."""
        ended_at = datetime.fromisoformat(item.ending["at"])
        performance = self._performance(item, ended_at)
        if item.state is WorkitemState.COMPLETING:
            outputs = self._standings.delivered(item.ending["result_sets"])
            body = completion(performance, ended_at, outputs, self._conduct.places)
        else:
            code = Discontinuation[item.ending["code"]]
            body = discontinuation(performance, ended_at, code, item.ending["words"])
        wanted, state = _FINAL[item.state]
        self._server.update(item.workitem_uid, body, item.transaction_uid)
        self._server.change_state(item.workitem_uid, wanted, item.transaction_uid)
        self._finish(item, state)
        LOGGER.info("Workitem %s is %s", item.workitem_uid, state)

    def _finish(self, item: OpenWorkitem, state: WorkitemState) -> None:
        """End a workitem as it was decided, with the reason of then."""
        words = item.ending.get("words", "")
        self._ledger.finish(item, state, self._clock(), reason=words)

    def _refused(self, item: OpenWorkitem, error: WorkitemRefusedError) -> None:
        """Try again what the server refuses; give the workitem up if it is gone or never taken."""
        if error.is_gone or item.attempts + 1 >= _ATTEMPTS:
            self._lose(item, str(error))
            return
        LOGGER.warning("Workitem %s was refused something: %s", item.workitem_uid, error)
        again_at = self._clock() + self._wait(item.attempts + 1)
        self._ledger.postpone(item, str(error), again_at=again_at)

    def _lose(self, item: OpenWorkitem, reason: str) -> None:
        LOGGER.warning("Workitem %s is lost: %s", item.workitem_uid, reason)
        self._ledger.finish(item, WorkitemState.LOST, self._clock(), reason=reason)

    def _performance(self, item: OpenWorkitem, now: datetime) -> Performance:
        return Performance(
            station=self._conduct.station, code=item.code, began_at=item.claimed_at or now
        )


def _remote(one: InputSeries) -> RemoteSeries:
    return RemoteSeries(
        study_instance_uid=one.study_uid,
        series_instance_uid=one.series_uid,
        study_date="",
        study_time="",
    )
