"""A form with files, read as it comes (RFC 7578): part by part, nothing of it kept in memory."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import Message
from email.parser import HeaderParser
from email.utils import collapse_rfc2231_value
from enum import Enum, auto
from typing import Final

_LONGEST_HEADERS: Final = 8192
_BOUNDARY: Final = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]")
_LINE: Final = b"\r\n"


class BrokenFormError(ValueError):
    """The body is no form with files, or does not end as one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PartBegins:
    """A field begins: its name, and that of the file; empty for a field without one."""

    name: str
    file_name: str


@dataclass(frozen=True, slots=True)
class PartGoesOn:
    """Bytes of the field."""

    content: bytes


@dataclass(frozen=True, slots=True)
class PartEnds:
    """The field is over."""


FormEvent = PartBegins | PartGoesOn | PartEnds


class _State(Enum):
    BEFORE = auto()  #: the first boundary
    BOUNDARY = auto()  #: what stands behind one
    HEADERS = auto()
    CONTENT = auto()
    OVER = auto()


def boundary_of(content_type: str) -> str:
    """Return the boundary of a form with files; empty if it is none."""
    said = Message()
    said["content-type"] = content_type.replace("\r", " ").replace("\n", " ")
    boundary = said.get_boundary("")
    is_form = said.get_content_type() == "multipart/form-data"
    return boundary if is_form and _BOUNDARY.fullmatch(boundary) else ""


class FormReader:
    """Splits the body of a form with files.

    Parameters
    ----------
    boundary
        From `boundary_of`.
    """

    def __init__(self, boundary: str) -> None:
        self._end = _LINE + b"--" + boundary.encode("ascii")
        self._rest = bytearray(_LINE)  # the first boundary stands without a line before it
        self._state = _State.BEFORE

    def feed(self, chunk: bytes) -> Iterator[FormEvent]:
        """Yield what a piece of the body brings. Raises BrokenFormError."""
        self._rest += chunk
        while self._state is not _State.OVER:
            if self._state in (_State.BEFORE, _State.CONTENT):
                inside = self._state is _State.CONTENT
                place = self._rest.find(self._end)
                is_found = place >= 0
                ready = place if is_found else max(0, len(self._rest) - len(self._end) + 1)
                if inside and ready:
                    yield PartGoesOn(bytes(self._rest[:ready]))
                del self._rest[: ready + (len(self._end) if is_found else 0)]
                if not is_found:
                    return
                if inside:
                    yield PartEnds()
                self._state = _State.BOUNDARY
            elif self._state is _State.BOUNDARY:
                if len(self._rest) < len(_LINE):
                    return
                self._pass_boundary()
            else:
                headers = self._headers()
                if headers is None:
                    return
                yield headers
                self._state = _State.CONTENT
        self._rest.clear()

    def close(self) -> None:
        """Make sure that the form is over. Raises BrokenFormError."""
        if self._state is not _State.OVER:
            raise BrokenFormError("the form breaks off")

    def _pass_boundary(self) -> None:
        behind = bytes(self._rest[:2])
        del self._rest[:2]
        if behind == b"--":
            self._state = _State.OVER
        elif behind == _LINE:
            self._state = _State.HEADERS
        else:
            raise BrokenFormError("a boundary is followed by something else")

    def _headers(self) -> PartBegins | None:
        place = self._rest.find(_LINE * 2)
        if place < 0 or place > _LONGEST_HEADERS:
            if len(self._rest) > _LONGEST_HEADERS:
                raise BrokenFormError("the headers of a field are too long")
            return None
        text = bytes(self._rest[:place]).decode("utf-8", "replace")
        del self._rest[: place + len(_LINE * 2)]
        said = HeaderParser().parsestr(text.replace(_LINE.decode(), "\n"))
        return PartBegins(name=_said(said, "name"), file_name=_said(said, "filename"))


def _said(message: Message, key: str) -> str:
    value = message.get_param(key, "", header="content-disposition")
    return collapse_rfc2231_value(value)
