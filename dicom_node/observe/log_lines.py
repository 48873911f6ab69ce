"""The two forms of a log line: text for people, JSON for machines."""

import json
import logging
from datetime import UTC, datetime
from typing import Any

from dicom_node.trace import current_trace

_TEXT = "%(asctime)s {process:<10} %(levelname)-7s %(message)s"
_DATE = "%Y-%m-%dT%H:%M:%S%z"


class TextLines(logging.Formatter):
    """Time, process, level, sentence; behind it the association, if there is one.

    Parameters
    ----------
    process
        Name of the process.
    """

    def __init__(self, process: str) -> None:
        super().__init__(_TEXT.format(process=process), datefmt=_DATE)

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        trace = current_trace()
        line = super().format(record)
        return f"{line} [{trace}]" if trace else line


class JsonLines(logging.Formatter):
    """One JSON object a line.

    ``sentence`` is the constant sentence of the code and ``fields`` what stands in its gaps, so
    that lines of one kind can be found without a pattern; ``trace_id`` is the association.

    Parameters
    ----------
    process
        Name of the process.
    """

    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        """Return the line. Of an exception only the type is told: its words may quote a sender."""
        at = datetime.fromtimestamp(record.created, tz=UTC)
        document: dict[str, Any] = {
            "time": at.isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "process": self._process,
            "logger": record.name,
            "message": record.getMessage(),
            "sentence": str(record.msg),
            "fields": _fields(record),
        }
        if trace := current_trace():
            document["trace_id"] = trace
        if record.exc_info and record.exc_info[0] is not None:
            document["exception"] = record.exc_info[0].__name__
        return json.dumps(document, ensure_ascii=False)


def _fields(record: logging.LogRecord) -> list[Any]:
    """Return what stands in the gaps: numbers as they are, everything else as text."""
    values = record.args if isinstance(record.args, tuple) else (record.args,)
    if record.args is None:
        return []
    return [one if isinstance(one, int | float | None) else str(one) for one in values]
