"""The case in hand, in a file that two processes map: one sees where the other one died."""

import mmap
from pathlib import Path

_HEAD = 16
#: Inputs are at most a megabyte long.
_ROOM = (1 << 20) + _HEAD


class InHand:
    """Number and input of the case that a process is at.

    Parameters
    ----------
    path
        The file. It is made anew by `fresh`.
    """

    def __init__(self, path: Path) -> None:
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), _ROOM)

    @classmethod
    def fresh(cls, path: Path) -> "InHand":
        """Return a file without a case."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            file.truncate(_ROOM)
        return cls(path)

    def put(self, number: int, data: bytes) -> None:
        """Note a case before it is tried."""
        self._map[_HEAD : _HEAD + len(data)] = data
        self._map[:_HEAD] = (number + 1).to_bytes(8, "little") + len(data).to_bytes(8, "little")

    @property
    def cases(self) -> int:
        """How many cases were begun."""
        return int.from_bytes(self._map[:8], "little")

    @property
    def data(self) -> bytes:
        """The input."""
        length = int.from_bytes(self._map[8:_HEAD], "little")
        return self._map[_HEAD : _HEAD + length]
