"""Which steps from line to line a case has taken in chosen files: the guide of the campaign."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

ROOT = Path(__file__).parents[2]

#: Watching costs five times the case. So many cases after something new all are watched, later on
#: one of so many.
_KEEN = 1000
_WATCHED_OF = 5


class Edges:
    """Watches this thread while a case runs.

    Parameters
    ----------
    files
        Paths below the checkout, files or folders. None: nothing is watched, and nothing slows.
    """

    def __init__(self, files: Sequence[str]) -> None:
        self._prefixes = tuple(str(ROOT / file) for file in files)
        self._watched: dict[str, bool] = {}
        self._taken: set[tuple[str, int, int]] = set()
        self.known: set[tuple[str, int, int]] = set()
        self._cases = 0
        self._keen_until = _KEEN

    def run(self, call: Callable[[bytes], None], data: bytes) -> bool:
        """Run a case; return whether it went where none has gone before, if that was watched."""
        self._cases += 1
        if not self._prefixes or (self._cases > self._keen_until and self._cases % _WATCHED_OF):
            call(data)
            return False
        self._taken = set()
        sys.settrace(self._enter)
        try:
            call(data)
        finally:
            sys.settrace(None)
            new = self._taken - self.known
            self.known |= new
        if new:
            self._keen_until = self._cases + _KEEN
        return bool(new)

    def _enter(self, frame: FrameType, event: str, argument: Any) -> Any:
        del event, argument
        name = frame.f_code.co_filename
        if name not in self._watched:
            self._watched[name] = name.startswith(self._prefixes)
        if not self._watched[name]:
            return None
        before = frame.f_lineno

        def step(frame: FrameType, event: str, argument: Any) -> Any:
            nonlocal before
            del event, argument
            self._taken.add((name, before, frame.f_lineno))
            before = frame.f_lineno
            return step

        return step
