"""A worker's idle time: what will be asked for is begun with before it is.

A series is complete when nothing has come for it for the quiet time, and until then its images
lie there. A worker with nothing to do reads them as they come, and lets the models look when the
series seems to be all there. What they saw waits in its memory; when the job comes, of these very
files, its results are made of that. If anything about the series changes it is thrown away, and
nobody has seen it.
"""

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol, runtime_checkable

from dicom_node.early_marks import EarlyMark, EarlyMarks
from dicom_node.errors import LedgerError, stack_of
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

#: Images of which so many had come at once are followed by others: they are looked for without a
#: pause.
_MANY_IMAGES = 16


class AbandonedError(Exception):
    """Nobody wants any more what was begun with."""


@runtime_checkable
class Preparer(Protocol):
    """An analyst that can look at a series before there is a job.

    `go_on` is called again and again and raises what ends it.
    """

    def read(self, files: Sequence[Path], *, go_on: Callable[[], None]) -> int:
        """Read what has come of a series until now; return how many images were new.

        They are remembered until `prepare` or the job of the series uses them, or `forget`.
        """

    def prepare(self, files: Sequence[Path], *, go_on: Callable[[], None]) -> None:
        """Look at a series and remember it until `forget`, or until the job of it."""

    def forget(self) -> None:
        """Drop what is remembered."""


@dataclass(slots=True, kw_only=True)
class _Held:
    """The series that is begun with, its mark, and as what it was looked at.

    Without that it is being read.
    """

    series_uid: str
    mark: EarlyMark
    seen: Foreseen | None = None


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
        self._held: _Held | None = None

    def pause_s(self) -> float:
        """Return how long to leave a job that waits to somebody who may have begun with it."""
        return _COURTESY_S if self._held is None and self._marks.are_held() else 0.0

    def begun(self, series_uid: str) -> None:
        """Take note that a job of a series begins: another one is not read any further."""
        held = self._held
        if held is not None and held.seen is None and held.series_uid != series_uid:
            self._let_go()

    def ended(self, series_uid: str) -> None:
        """Take note that a job of a series has come to an end."""
        self._marks.clear(series_uid)
        if self._held is not None and self._held.series_uid == series_uid:
            self._let_go()

    def run(self, is_over: Callable[[], bool]) -> bool:
        """Begin with a series that will be asked for; return whether there may be more to do.

        It is abandoned when `is_over` says so, when a job of another series waits, or when the
        series changes. Raises LedgerError.
        """
        if self._held is not None and self._held.seen is not None:
            if self._may_come(self._held) and self._foresight.is_unchanged(self._held.seen):
                return False
            self._let_go()
        foreseen = self._foresight.next(self._begun, most=_MOST_TIMES)
        if foreseen is None:
            return self._read_on(is_over)
        held = self._hold(foreseen)
        self._count(foreseen, 1 if held else _MOST_TIMES)
        if held is None:
            return False
        LOGGER.info("Series %s is begun with early", held.series_uid)

        with self._abandonable(held, foreseen):
            self._preparer.prepare(
                self._paths(foreseen),
                go_on=self._asking(partial(self._is_changed, foreseen, is_over)),
            )
            held.seen = foreseen
        return True

    def close(self) -> None:
        """Forget everything; the worker ends or gets another analyst."""
        self._let_go()

    def _may_come(self, held: _Held) -> bool:
        return self._foresight.may_come(held.series_uid)

    def _hold(self, foreseen: Foreseen) -> _Held | None:
        """Mark a series and let go any other; None if somebody is at it, or has died of it."""
        uid = foreseen.series_instance_uid
        if self._held is not None and self._held.series_uid == uid:
            return self._held
        self._let_go()
        try:
            mark = self._marks.take(uid)
        except OSError as error:
            if self._begun.get(uid, 0) < _MOST_TIMES:
                LOGGER.warning("Nothing is begun with early: %s", error.strerror)
            self._count(foreseen, _MOST_TIMES)
            return None
        if mark is not None:
            self._held = _Held(series_uid=uid, mark=mark)
        return self._held

    def _count(self, foreseen: Foreseen, times: int) -> None:
        uid = foreseen.series_instance_uid
        self._begun[uid] = self._begun.get(uid, 0) + times
        while len(self._begun) > _MOST_SERIES:
            self._begun.popitem(last=False)

    def _read_on(self, is_over: Callable[[], bool]) -> bool:
        """Read what has come of a series that goes on coming; return whether that was much."""
        before = None if self._held is None else self._held.series_uid
        arriving = self._foresight.arriving(before)
        held = None if arriving is None else self._hold(arriving)
        if arriving is None or held is None:
            if self._held is not None and not self._may_come(self._held):
                self._let_go()
            return False
        read = 0
        with self._abandonable(held, arriving):
            read = self._preparer.read(
                self._paths(arriving),
                go_on=self._asking(partial(self._is_unwanted, arriving, is_over)),
            )
        return read >= _MANY_IMAGES

    def _is_unwanted(self, foreseen: Foreseen, is_over: Callable[[], bool]) -> bool:
        return is_over() or self._foresight.others_wait(foreseen)

    def _is_changed(self, foreseen: Foreseen, is_over: Callable[[], bool]) -> bool:
        return self._is_unwanted(foreseen, is_over) or not self._foresight.is_unchanged(foreseen)

    @contextmanager
    def _abandonable(self, held: _Held, foreseen: Foreseen) -> Iterator[None]:
        """Let go what is not wanted any more; leave what fails, as it is, to its job.

        If it takes too long the process is ended.
        """
        limit = threading.Timer(self._time_limit_s, self._on_overrun)
        limit.daemon = True
        limit.start()
        try:
            yield
        except AbandonedError:
            LOGGER.info("Series %s is left alone again", held.series_uid)
            self._let_go()
        except LedgerError:
            raise
        except Exception as error:  # noqa: BLE001 - its job will meet it, too, and say so
            LOGGER.info("Series %s could not be prepared: %s", held.series_uid, stack_of(error))
            held.seen = foreseen
        finally:
            limit.cancel()

    def _asking(self, is_unwanted: Callable[[], bool]) -> Callable[[], None]:
        """Return what raises AbandonedError once something is not wanted; it asks seldom."""
        asked_at = float("-inf")

        def go_on() -> None:
            nonlocal asked_at
            if self._timer() < asked_at + _ASK_EVERY_S:
                return
            asked_at = self._timer()
            if is_unwanted():
                raise AbandonedError

        return go_on

    def _paths(self, foreseen: Foreseen) -> list[Path]:
        return [self._spool_root / path for path in foreseen.files]

    def _let_go(self) -> None:
        if self._held is not None:
            self._preparer.forget()
            self._held.mark.drop()
            self._held = None
