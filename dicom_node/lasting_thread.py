"""Threads without which a process cannot do its duty."""

import threading
from collections.abc import Callable, Iterable
from typing import Any


class LastingThread(threading.Thread):
    """A thread that serves as long as its process.

    Where one ends by an exception that nobody foresaw, the process ends with it (see
    `bootstrap.logs`) and is started again: a process that lives on without its courier or its
    recorder would look well and do nothing, for days.

    Parameters
    ----------
    target
        Serves until it is told to stop.
    name
        By which log lines call it.
    args
        For the target.
    """

    def __init__(
        self, *, target: Callable[..., object], name: str, args: Iterable[Any] = ()
    ) -> None:
        super().__init__(target=target, name=name, args=args, daemon=True)
