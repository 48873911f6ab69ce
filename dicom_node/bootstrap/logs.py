"""Log lines of a process, on standard error: text for people or JSON for machines."""

import logging
import os
import sys
import threading
import warnings
from types import TracebackType

from dicom_node.errors import stack_of
from dicom_node.lasting_thread import LastingThread
from dicom_node.observe.log_lines import JsonLines, TextLines

LOGGER = logging.getLogger(__name__)

#: How a process ends that has lost one of its threads (sysexits.h: EX_SOFTWARE).
THREAD_DIED = 70

#: Libraries whose messages may quote a data element, and what is let through of them.
_QUIET = {
    "pydicom": logging.CRITICAL,
    "pynetdicom": logging.CRITICAL,
    "highdicom": logging.ERROR,
    "alembic": logging.WARNING,
    "apscheduler": logging.WARNING,
    "uvicorn": logging.WARNING,
    "matplotlib": logging.WARNING,
    "numexpr": logging.WARNING,
}


def set_up_logs(process: str, *, level: str, form: str = "text") -> None:
    """Send log lines to standard error, each with the name of its process.

    Warnings of libraries are not shown at all: pydicom's quote the value they complain about,
    which may be a patient's name.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines(process) if form == "json" else TextLines(process))
    logging.basicConfig(level=level, handlers=[handler])
    for name, lowest in _QUIET.items():
        logging.getLogger(name).setLevel(lowest)
    warnings.simplefilter("ignore")


def log_what_nobody_caught() -> None:
    """Let an exception that ends a thread or the process be logged without its message.

    One that ends a `LastingThread` ends the process too, whose supervisor starts another.

    Python would print it, and the message of an outside library may quote a data element.
    """
    threading.excepthook = _thread_died
    sys.excepthook = _process_dies
    sys.unraisablehook = _could_not_raise


def _thread_died(died: threading.ExceptHookArgs) -> None:
    if died.exc_value is not None:
        name = "one that is gone" if died.thread is None else died.thread.name
        LOGGER.error("Thread %s died: %s", name, stack_of(died.exc_value))
        if isinstance(died.thread, LastingThread):
            LOGGER.critical("The process cannot do its duty without it and ends")
            os._exit(THREAD_DIED)  # at once: whatever is half done is known to bear it


def _process_dies(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    del kind, trace
    LOGGER.critical("The process dies: %s", stack_of(error))


def _could_not_raise(fault: "sys.UnraisableHookArgs") -> None:
    if fault.exc_value is not None:
        LOGGER.error(
            "An exception while something was cleared away: %s", stack_of(fault.exc_value)
        )
