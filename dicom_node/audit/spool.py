"""Audit messages on disk until the repository has them."""

import itertools
import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

_SUFFIX: Final = ".xml"
_PRIVATE: Final = 0o700


class AuditSpool:
    """A queue of files: every process of the node writes, the office sends.

    Names rise with time, so that the order of names is the order of events. A file has its name
    only when its content is on the disk.

    Parameters
    ----------
    folder
        Where the files lie; made if absent.
    limit
        More messages are not kept: the oldest go, and are counted.
    """

    def __init__(self, folder: Path, *, limit: int) -> None:
        self._folder = folder
        self._limit = limit
        self._numbers = itertools.count()

    def put(self, message: bytes) -> None:
        """Keep a message. Raises OSError if the disk refuses."""
        self._folder.mkdir(mode=_PRIVATE, parents=True, exist_ok=True)
        name = f"{time.time_ns():020d}-{os.getpid()}-{next(self._numbers):06d}{_SUFFIX}"
        part = self._folder / f"{name}.part"
        with part.open("wb") as file:
            file.write(message)
            file.flush()
            os.fsync(file.fileno())
        part.replace(self._folder / name)

    def waiting(self) -> tuple[Path, ...]:
        """Return the files of the messages that wait, oldest first."""
        if not self._folder.is_dir():
            return ()
        return tuple(sorted(self._folder.glob(f"*{_SUFFIX}")))

    def oldest_at(self) -> datetime | None:
        """Return when the oldest message that waits was written; None if none does."""
        waiting = self.waiting()
        if not waiting:
            return None
        written_ns = int(waiting[0].name.split("-", 1)[0])
        return datetime.fromtimestamp(written_ns / 1e9, tz=UTC)

    def cut(self) -> int:
        """Delete the oldest messages beyond the limit; return how many."""
        surplus = self.waiting()[: -self._limit]
        for path in surplus:
            path.unlink(missing_ok=True)
        return len(surplus)
