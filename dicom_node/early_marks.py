"""Marks of what workers have begun with before it was asked for: one file a series.

The holder of a mark has it locked; the kernel drops the lock when the process dies. So three
cases can be told apart: nobody has begun, somebody is at it, and somebody has died of it.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

_PRIVATE_FOLDER, _PRIVATE_FILE = 0o700, 0o600


class EarlyMark:
    """A mark that this process holds."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor

    def drop(self) -> None:
        """Take the mark away; whoever comes may begin."""
        with suppress(OSError):
            self.path.unlink()
        os.close(self._descriptor)


class EarlyMarks:
    """The marks of all workers of the node.

    Parameters
    ----------
    folder
        Where they are; made with the first one.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def take(self, series_uid: str) -> EarlyMark | None:
        """Return the mark of a series, or None: somebody is at it, or has died of it.

        The mark of the dead stays until `clear`, so that no worker after the first one dies
        before the series has a job, whose attempts are counted.

        Raises
        ------
        OSError
            If the disk refuses.
        """
        self._folder.mkdir(mode=_PRIVATE_FOLDER, parents=True, exist_ok=True)
        path = self._path(series_uid)
        try:
            descriptor = os.open(
                path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _PRIVATE_FILE
            )
        except FileExistsError:
            return None
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return EarlyMark(path, descriptor)

    def clear(self, series_uid: str) -> None:
        """Take away the mark that a dead worker left of a series."""
        with suppress(OSError):
            if not _is_held(self._path(series_uid)):
                self._path(series_uid).unlink()

    def tidy(self, before: float) -> None:
        """Take away what the dead left of series that never got a job: marks made earlier."""
        for path in list(self._paths()):
            with suppress(OSError):
                if path.stat().st_mtime < before and not _is_held(path):
                    path.unlink()

    def are_held(self) -> bool:
        """Return whether a living process holds a mark."""
        return any(map(_is_held, self._paths()))

    def _paths(self) -> Iterator[Path]:
        with suppress(OSError):
            yield from self._folder.iterdir()

    def _path(self, series_uid: str) -> Path:
        return self._folder / sha256(series_uid.encode()).hexdigest()[:32]


def _is_held(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False
