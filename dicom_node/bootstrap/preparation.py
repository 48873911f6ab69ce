"""What a process does before it can work: it waits for its ledger, it loads models.

Nothing is in hand meanwhile, and libraries that connect to a server or read weights look at no
event, for minutes where disk or network is slow. So a process that is told to stop then ends at
once.
"""

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from dicom_node.errors import LedgerUnavailableError
from dicom_node.processes import StoppedError

if TYPE_CHECKING:
    from dicom_node.jobs.ledger import Ledger
    from dicom_node.jobs.ledger_place import LedgerPlace
    from dicom_node.jobs.process_identity import ProcessIdentity

LOGGER = logging.getLogger(__name__)

#: How soon the end of a preparation is noticed by whoever watches it.
_NOTICE_S: Final = 0.2

#: Pause between two looks at a server that is away, doubled up to the longest.
_FIRST_PAUSE_S: Final = 0.5
_LONGEST_PAUSE_S: Final = 5.0

#: Time between two lines of the log about it, doubled up to the longest.
_FIRST_SILENCE_S: Final = 5.0
_LONGEST_SILENCE_S: Final = 600.0


def _nothing() -> None:
    """Do nothing."""


def _end() -> None:
    os._exit(os.EX_OK)


@contextmanager
def ends_at_once(
    stop: threading.Event,
    *,
    leave: Callable[[], None] = _nothing,
    end: Callable[[], None] = _end,
) -> Iterator[None]:
    """Let the process end at once if it is told to stop during a ``with`` block.

    Parameters
    ----------
    stop
        Set when the process shall end.
    leave
        Done before the end, in a thread of its own.
    end
        Ends the process.

    Raises
    ------
    StoppedError
        If it was told to stop before.
    """
    if stop.is_set():
        raise StoppedError
    lock, over = threading.Lock(), threading.Event()

    def watch() -> None:
        while not over.is_set():
            if stop.wait(_NOTICE_S):
                with lock:
                    if not over.is_set():
                        LOGGER.info("Told to stop before the work began; nothing is in hand")
                        leave()
                        end()
                return

    threading.Thread(target=watch, name="preparation", daemon=True).start()
    try:
        yield
    finally:
        with lock:
            over.set()


def open_patiently(
    place: "LedgerPlace",
    *,
    process: "ProcessIdentity",
    stop: threading.Event,
    timer: Callable[[], float] = time.monotonic,
) -> "Ledger":
    """Return the ledger; one on a server that is away is waited for, as after a common power cut.

    Parameters
    ----------
    place
        Where it is.
    process
        Who writes.
    stop
        Set when the process shall end.
    timer
        Seconds that only rise.

    Raises
    ------
    StoppedError
        If the process was told to stop meanwhile.
    LedgerError
        If the server answers, and the ledger cannot be opened: a wrong password, no such database.
    """
    from dicom_node.jobs.database import engine_of
    from dicom_node.jobs.ledger import open_ledger

    if isinstance(place, Path):
        return open_ledger(place, process=process)
    engine = engine_of(place)
    since, line_at, silence_s, pause_s = timer(), timer(), _FIRST_SILENCE_S, _FIRST_PAUSE_S
    has_answered = False
    while not stop.is_set():
        try:
            ledger = open_ledger(place, process=process)
        except LedgerUnavailableError as error:
            if not engine.is_away():
                if has_answered:
                    raise
                has_answered = True  # it may have come this very moment: once more
                continue
            has_answered = False
            if timer() >= line_at:
                LOGGER.warning("%s; waiting for it, %.0f s so far", error.words, timer() - since)
                line_at, silence_s = timer() + silence_s, min(2 * silence_s, _LONGEST_SILENCE_S)
            stop.wait(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
        else:
            if line_at > since:
                LOGGER.info("The ledger %s is there, after %.0f s", engine.place, timer() - since)
            return ledger
    raise StoppedError
