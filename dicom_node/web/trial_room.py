"""Where peers are tried while a page waits: beside the requests, a few at a time, step by step.

A trial is a look at the other side. Nothing depends on it, so that none outlives a restart.
"""

import itertools
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from dicom_node.association.peer_trial import Told, TrialStep
from dicom_node.errors import NodeError

#: Trials at the same time; each holds a thread until the other side has answered.
AT_MOST: Final = 4
#: Trials whose steps can still be looked at.
_REMEMBERED: Final = 50

#: What a trial is: it tells each step at once, and returns all of them.
Trial = Callable[[Told], Sequence[TrialStep]]


class TrialRoomFullError(NodeError):
    """So many trials are under way that another one must wait."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialView:
    """A trial as far as it is.

    Attributes
    ----------
    number : int
        Which.
    name : str
        Whom it tries.
    steps : tuple of TrialStep
        What was done.
    is_over : bool
        Whether that is all.
    fault : str
        Why it broke off; empty if it did not.
    """

    number: int
    name: str
    steps: tuple[TrialStep, ...]
    is_over: bool
    fault: str


class _Trial:
    """One trial under way; changed under the lock of the room alone."""

    def __init__(self, number: int, name: str) -> None:
        self.number = number
        self.name = name
        self.steps: list[TrialStep] = []
        self.fault = ""
        self.over = threading.Event()


class TrialRoom:
    """Tries peers in threads of its own.

    Parameters
    ----------
    at_most
        How many at the same time.
    """

    def __init__(self, *, at_most: int = AT_MOST) -> None:
        self._at_most = at_most
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._trials: dict[int, _Trial] = {}

    def start(self, name: str, trial: Trial) -> int:
        """Begin a trial and return its number. Raises TrialRoomFullError."""
        with self._lock:
            under_way = sum(not one.over.is_set() for one in self._trials.values())
            if under_way >= self._at_most:
                raise TrialRoomFullError(
                    f"{under_way} tests are under way; try again when one of them has ended"
                )
            one = _Trial(next(self._numbers), name)
            self._trials[one.number] = one
            self._forget()
        work = threading.Thread(
            target=self._run, args=(one, trial), name=f"trial-{one.number}", daemon=True
        )
        work.start()
        return one.number

    def wait(self, number: int) -> TrialView | None:
        """Return a trial once it is over; None if it is not known (any more)."""
        with self._lock:
            one = self._trials.get(number)
        if one is None:
            return None
        one.over.wait()
        return self._view(one)

    def look(self, number: int) -> TrialView | None:
        """Return a trial as far as it is; None if it is not known (any more)."""
        with self._lock:
            one = self._trials.get(number)
        return None if one is None else self._view(one)

    def _run(self, one: _Trial, trial: Trial) -> None:
        def told(step: TrialStep) -> None:
            with self._lock:
                one.steps.append(step)

        fault = "the test broke off; the log says why"
        try:
            trial(told)
            fault = ""
        except (NodeError, OSError, ValueError) as error:
            fault = str(error)
        finally:
            with self._lock:
                one.fault = fault
            one.over.set()

    def _view(self, one: _Trial) -> TrialView:
        is_over = one.over.is_set()
        with self._lock:
            return TrialView(
                number=one.number,
                name=one.name,
                steps=tuple(one.steps),
                is_over=is_over,
                fault=one.fault,
            )

    def _forget(self) -> None:
        """Forget the oldest trials that are over."""
        over = [number for number, one in self._trials.items() if one.over.is_set()]
        for number in over[: max(0, len(self._trials) - _REMEMBERED)]:
            del self._trials[number]
