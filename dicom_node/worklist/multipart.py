"""The parts of a multipart answer, one after the other (RFC 2046, section 5.1)."""

from collections.abc import Callable, Generator
from email.message import Message
from typing import Final

#: The parts, which may be closed before the last one.
Parts = Generator[bytes, None, None]

_CHUNK: Final = 1 << 16
_END_OF_HEADER: Final = b"\r\n\r\n"
_LONGEST_HEADER: Final = 1 << 14

#: Stands behind the last boundary.
_LAST: Final = b"--"


class BrokenMultipartError(ValueError):
    """The answer does not keep to its own boundaries, or a part is too long."""


def boundary_of(content_type: str) -> bytes:
    """Return the boundary that a Content-Type names.

    Raises
    ------
    BrokenMultipartError
        If it is not multipart/related or names none.
    """
    message = Message()
    try:
        message["Content-Type"] = content_type
        boundary = message.get_boundary()
    except (ValueError, LookupError) as error:  # a parameter coded by RFC 2231, damaged
        raise BrokenMultipartError("its Content-Type cannot be read") from error
    if message.get_content_type() != "multipart/related" or not boundary:
        raise BrokenMultipartError("not multipart/related")
    return boundary.encode("ascii", "replace")


def parts(read: Callable[[int], bytes], boundary: bytes, *, longest: int) -> Parts:
    """Yield the body of each part; only one is in memory at a time.

    Parameters
    ----------
    read
        Returns up to so many bytes, none at the end.
    boundary
        Without the hyphens.
    longest
        More bytes than this are no part.

    Raises
    ------
    BrokenMultipartError
        If the answer ends within a part or a part is too long.
    """
    delimiter = b"\r\n--" + boundary
    stream = _Stream(read)
    stream.put_back(b"\r\n")  # the first boundary stands at the very beginning
    stream.until(delimiter, longest=_LONGEST_HEADER)
    while not stream.has_end():
        stream.until(_END_OF_HEADER, longest=_LONGEST_HEADER)
        yield stream.until(delimiter, longest=longest)


class _Stream:
    """Bytes that are searched while they come."""

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self._read = read
        self._held = bytearray()

    def put_back(self, data: bytes) -> None:
        self._held[:0] = data

    def has_end(self) -> bool:
        """Return whether the boundary just read was the last one."""
        while len(self._held) < len(_LAST):
            self._more()
        return self._held.startswith(_LAST)

    def until(self, mark: bytes, *, longest: int) -> bytes:
        """Return what stands before a mark, and go behind it."""
        seen = 0
        while (place := self._held.find(mark, max(0, seen - len(mark)))) < 0:
            seen = len(self._held)
            if seen > longest + len(mark):
                raise BrokenMultipartError(f"longer than {longest} bytes")
            self._more()
        if place > longest:
            raise BrokenMultipartError(f"longer than {longest} bytes")
        found = bytes(self._held[:place])
        del self._held[: place + len(mark)]
        return found

    def _more(self) -> None:
        chunk = self._read(_CHUNK)
        if not chunk:
            raise BrokenMultipartError("it ends within a part")
        self._held += chunk
