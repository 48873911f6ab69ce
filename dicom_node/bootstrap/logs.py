"""Log lines of a process: time, process, level, sentence; on standard error."""

import logging
import warnings

_FORMAT = "%(asctime)s {process:<10} %(levelname)-7s %(message)s"

#: Libraries whose messages may quote a data element, and what is let through of them.
_QUIET = {
    "pydicom": logging.CRITICAL,
    "pynetdicom": logging.CRITICAL,
    "highdicom": logging.ERROR,
    "apscheduler": logging.WARNING,
    "uvicorn": logging.WARNING,
    "matplotlib": logging.WARNING,
    "numexpr": logging.WARNING,
}


def set_up_logs(process: str, *, level: str) -> None:
    """Send log lines to standard error, each with the name of its process.

    Warnings of libraries are not shown at all: pydicom's quote the value they complain about,
    which may be a patient's name.
    """
    logging.basicConfig(
        level=level, format=_FORMAT.format(process=process), datefmt="%Y-%m-%dT%H:%M:%S%z"
    )
    for name, lowest in _QUIET.items():
        logging.getLogger(name).setLevel(lowest)
    warnings.simplefilter("ignore")
