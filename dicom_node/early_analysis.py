"""A worker's idle time: what will be asked for is begun with before it is.

A series is complete when nothing has come for it for the quiet time, and until then its images
lie there. A worker with nothing to do reads them and lets the models look. What they saw waits in
its memory; when the job comes, of these very files, its results are made of that. If anything
about the series changes it is thrown away, and nobody has seen it.
"""

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

from dicom_node.early_marks import EarlyMark, EarlyMarks
from dicom_node.errors import stack_of
from dicom_node.jobs.foresight import Foreseen, Foresight

LOGGER = logging.getLogger(__name__)

#: Beginning again is worth while once: images come in two associations, hardly in more.
_MOST_TIMES = 2

#: Series that are remembered for that.
_MOST_SERIES = 256

#: How often the ledger is asked whether to go on.
_ASK_EVERY_S = 0.2

#: How long a new job is left to the worker that may have begun with it.
_COURTESY_S = 0.25


class AbandonedError(Exception):
    """Nobody wants any more what was begun with."""


@runtime_checkable
class Preparer(Protocol):
    """An analyst that can look at a series before there is a job."""

    def prepare(self, files: Sequence[Path], *, go_on: Callable[[], None]) -> None:
        """Look at a series and remember it until `forget`, or until the job of it.

        `go_on` is called again and again and raises what ends it.
        """

    def forget(self) -> None:
        """Drop what is remembered."""


class EarlyAnalysis:
    """What a worker does when no job waits.

    Parameters
    ----------
    foresight
        Knows which series will be asked for.
    marks
        Keep two workers from beginning with the same one.
    preparer
        Looks at series.
    spool_root
        Folder of the received files.
    time_limit_s
        After this long `on_overrun` is called, which is meant to end the process.
    on_overrun
        As for jobs: nothing else stops a hung library.
    timer
        Seconds that only rise.
    """

    def __init__(
        self,
        *,
        foresight: Foresight,
        marks: EarlyMarks,
        preparer: Preparer,
        spool_root: Path,
        time_limit_s: float,
        on_overrun: Callable[[], None],
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self._foresight = foresight
        self._marks = marks
        self._preparer = preparer
        self._spool_root = spool_root
        self._time_limit_s = time_limit_s
        self._on_overrun = on_overrun
        self._timer = timer
        self._begun: OrderedDict[str, int] = OrderedDict()
        self._held: tuple[Foreseen, EarlyMark] | None = None

    def pause_s(self) -> float:
        """Return how long to leave a job that waits to somebody who may have begun with it."""
        mine = None if self._held is None else self._held[1]
        return _COURTESY_S if mine is None and self._marks.others(mine) else 0.0

    def ended(self, series_uid: str) -> None:
        """Take note that a job of a series has come to an end."""
        self._marks.clear(series_uid)
        if self._held is not None and self._held[0].series_instance_uid == series_uid:
            self._let_go()

    def run(self, is_over: Callable[[], bool]) -> bool:
        """Begin with a series that will be asked for; return whether there was one.

        It is abandoned when `is_over` says so, when a job of another series waits, or when the
        series changes. Raises LedgerError.
        """
        if self._held is not None:
            held = self._held[0]
            may_come = self._foresight.may_come(held.series_instance_uid)
            if may_come and self._foresight.is_unchanged(held):
                return False
            self._let_go()
        foreseen = self._foresight.next(self._begun, most=_MOST_TIMES)
        if foreseen is None or (mark := self._mark(foreseen)) is None:
            return False
        self._held = (foreseen, mark)
        if not self._prepare(foreseen, is_over):
            self._let_go()
        return True

    def close(self) -> None:
        """Forget everything; the worker ends or gets another analyst."""
        if self._held is not None:
            self._let_go()

    def _mark(self, foreseen: Foreseen) -> EarlyMark | None:
        """Return the mark of a series, counting that it is begun with."""
        uid = foreseen.series_instance_uid
        try:
            mark = self._marks.take(uid)
        except OSError as error:
            LOGGER.warning("Nothing is begun with early: %s", error.strerror)
            mark = None
        self._begun[uid] = self._begun.get(uid, 0) + (1 if mark else _MOST_TIMES)
        while len(self._begun) > _MOST_SERIES:
            self._begun.popitem(last=False)
        return mark

    def _prepare(self, foreseen: Foreseen, is_over: Callable[[], bool]) -> bool:
        """Look at a series; return whether it came to its end."""
        asked_at = float("-inf")

        def go_on() -> None:
            nonlocal asked_at
            if self._timer() < asked_at + _ASK_EVERY_S:
                return
            asked_at = self._timer()
            is_unwanted = is_over() or self._foresight.others_wait(foreseen)
            if is_unwanted or not self._foresight.is_unchanged(foreseen):
                raise AbandonedError

        LOGGER.info("Series %s is begun with early", foreseen.series_instance_uid)
        limit = threading.Timer(self._time_limit_s, self._on_overrun)
        limit.daemon = True
        limit.start()
        try:
            self._preparer.prepare(
                [self._spool_root / path for path in foreseen.files], go_on=go_on
            )
        except AbandonedError:
            LOGGER.info("Series %s is left alone again", foreseen.series_instance_uid)
            return False
        except Exception as error:  # noqa: BLE001 - its job will meet it, too, and say so
            LOGGER.info(
                "Series %s could not be prepared: %s",
                foreseen.series_instance_uid,
                stack_of(error),
            )
            return False
        finally:
            limit.cancel()
        return True

    def _let_go(self) -> None:
        if self._held is not None:
            self._preparer.forget()
            self._held[1].drop()
            self._held = None
