"""Log lines of a process, on standard error: text for people or JSON for machines."""

import logging
import warnings

from dicom_node.observe.log_lines import JsonLines, TextLines

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
