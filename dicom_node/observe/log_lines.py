"""The two forms of a log line: text for people, JSON for machines."""

import json
import logging
import re
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

from dicom_node.errors import stack_of
from dicom_node.trace import current_trace

_TEXT = "%(asctime)s {process:<10} %(levelname)-7s %(message)s"
_DATE = "%Y-%m-%dT%H:%M:%S%z"

#: Everything that moves a cursor or begins a line, but the line feed itself; and halves of
#: surrogate pairs, which no encoding can hold.
_CONTROL = re.compile("[\\x00-\\x09\\x0b-\\x1f\\x7f-\\x9f\\u2028\\u2029\\ud800-\\udfff]")

#: What JSON allows and a terminal or an encoder does not bear: controls, line separators, and
#: halves of surrogate pairs, which UTF-8 cannot hold.
_UNSAFE_IN_JSON = re.compile("[\\x7f-\\x9f\\u2028\\u2029\\ud800-\\udfff]")


class TextLines(logging.Formatter):
    """Time, process, level, sentence; behind it the association, if there is one.

    Of an exception the type and the frames are told, not the message: it may quote a sender. What
    a sender wrote can neither begin a line nor move the cursor of a terminal.

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
        line = _tamed(super().format(record))
        return f"{line} [{trace}]" if trace else line

    def formatException(  # noqa: N802 - the name is logging's
        self,
        ei: tuple[type[BaseException], BaseException, TracebackType | None]
        | tuple[None, None, None],
    ) -> str:
        """Return type and frames of an exception."""
        error = ei[1]
        return "" if error is None else stack_of(error)


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
        return _UNSAFE_IN_JSON.sub(_escaped, json.dumps(document, ensure_ascii=False))


def _tamed(line: str) -> str:
    """Return a line whose further lines are indented, without other control characters."""
    plain = _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", line)
    return re.sub(r"\n *", "\n  ", plain)


def _escaped(found: re.Match[str]) -> str:
    return f"\\u{ord(found[0]):04x}"


def _fields(record: logging.LogRecord) -> list[Any]:
    """Return what stands in the gaps: numbers as they are, everything else as text."""
    values = record.args if isinstance(record.args, tuple) else (record.args,)
    if record.args is None:
        return []
    return [one if isinstance(one, int | float | None) else str(one) for one in values]
