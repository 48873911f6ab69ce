"""A lock file: one holder per data directory and purpose.

The kernel drops the lock when its holder dies, however it dies, so a lock is never left behind.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

#: How often a waiting process looks again.
_POLL_S = 0.1


class LockHeldError(RuntimeError):
    """Another process holds the lock."""


@contextmanager
def hold_lock(path: Path, *, wait_s: float = 0.0) -> Iterator[None]:
    """Hold a lock file for the duration of a ``with`` block.

    Parameters
    ----------
    path : Path
        Lock file; made if it does not exist, its folder must.
    wait_s : float
        How long to wait for another holder to let go.

    Raises
    ------
    LockHeldError
        If somebody else still holds the lock after `wait_s`; names the process.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _acquire(descriptor, path, deadline=time.monotonic() + wait_s)
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        yield
    finally:
        os.close(descriptor)


def is_held(path: Path) -> bool:
    """Return whether somebody holds a lock file; nothing is written, the file need not be there.

    Whoever takes the lock in the same instant may find it held.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _acquire(descriptor: int, path: Path, *, deadline: float) -> None:
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
                raise LockHeldError(f"{path} is held by process {holder or 'unknown'}") from None
            time.sleep(_POLL_S)
        else:
            return
