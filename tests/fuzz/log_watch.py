"""What a campaign makes the node log: formatted as the node does, looked at, and thrown away."""

import json
import logging
import re
import warnings

from dicom_node.observe.log_lines import JsonLines, TextLines

#: A line that a sender began, or that steers a terminal.
_FORGED = re.compile("\n(?!  )|[\\x00-\\x09\\x0b-\\x1f\\x7f-\\x9f\\u2028\\u2029]")
_STEERING = re.compile("[\\x00-\\x1f\\x7f-\\x9f\\u2028\\u2029]")


class LogFaultError(AssertionError):
    """A log line is not one line, or no JSON."""


class LogWatch(logging.Handler):
    """Formats every record in both forms; keeps what is wrong for the case that caused it."""

    def __init__(self) -> None:
        super().__init__()
        self._forms = (TextLines("fuzz"), JsonLines("fuzz"))
        self.faults: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Look at a record."""
        text, document = (form.format(record) for form in self._forms)
        if _FORGED.search(text) or _STEERING.search(document):
            self.faults.append(record.name)
        text.encode("utf-8")
        json.loads(document.encode("utf-8"))

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's
        """Keep what the forms themselves could not bear."""
        self.faults.append(record.name)

    def check(self) -> None:
        """Raise LogFaultError if there was one since the last time."""
        if self.faults:
            names = ", ".join(sorted(set(self.faults)))
            self.faults.clear()
            raise LogFaultError(names)


WATCH = LogWatch()


def watch_logs() -> None:
    """Send every log line of this process to the watch, and none anywhere else.

    Warnings of libraries are left out as in the node's own processes (`bootstrap.logs`): Python
    keeps each of those it shows, with the damaged value, for ever.
    """
    root = logging.getLogger()
    root.handlers[:] = [WATCH]
    root.setLevel(logging.INFO)
    warnings.simplefilter("ignore")
