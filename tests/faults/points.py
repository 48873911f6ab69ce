"""The moments at which a process of the node can die, or be refused by disk and database.

`install` is called in a process that was forked for one life only; nothing is ever undone. It
makes a moment of every write, sync, rename, new folder and deletion of a file, and of the begin
and both sides of the commit of every transaction that changes the ledger: so no transition of a
state is left out, whoever adds one. A moment has the name of the function of the node that it lies
in.
"""

import errno
import json
import os
import resource
import signal
import sqlite3
import sys
import threading
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from sqlalchemy import Engine, event
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

ROOT = Path(__file__).parents[2]
NODE = str(ROOT / "dicom_node")
_PLUMBING = (
    "jobs/database.py",
    "jobs/sqlite_engine.py",
    "jobs/postgresql_engine.py",
    "intake/disk.py",
)

_write, _fsync = os.write, os.fsync


class Fault(StrEnum):
    """What happens at the moment that a life is meant to go wrong."""

    NONE = "none"  #: nothing
    KILL = "kill"  #: SIGKILL
    POWER_CUT = "power-cut"  #: SIGKILL, and what was not synced is gone
    REFUSED_ONCE = "refused-once"  #: the disk is full or the ledger busy, this time
    REFUSED_ON = "refused-on"  #: from then on until the process ends
    FILE_LIMIT = "file-limit"  #: the system lets no file grow beyond `Doom.at` bytes


#: Who dies here is where it was at the moment before.
BEGIN = "before begin"

DEADLY = frozenset({Fault.KILL, Fault.POWER_CUT})


@dataclass(frozen=True, slots=True, kw_only=True)
class Doom:
    """Which fault strikes a life, and when.

    Attributes
    ----------
    fault : Fault
        What happens.
    at : int
        At which moment, counted from 0; of a file limit so many bytes.
    spared : frozenset of str
        Moments of these names do not count.
    """

    fault: Fault = Fault.NONE
    at: int = 0
    spared: frozenset[str] = frozenset()


class Moments:
    """Counts the moments of one life, writes them to its diary, and strikes at one of them.

    The diary is a file of JSON lines outside the node's folder. It is written without a buffer, so
    that a kill loses nothing of it.
    """

    def __init__(self, doom: Doom, diary: Path) -> None:
        self.doom = doom
        self._passed = 0
        self._lock = threading.Lock()
        self._diary = os.open(diary, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def note(self, **entry: object) -> None:
        """Write a line to the diary; under a file limit only how the life ended."""
        if self.doom.fault is Fault.FILE_LIMIT:
            entry = {key: str(value)[-1000:] for key, value in entry.items() if key == "crash"}
        _write(self._diary, json.dumps(entry).encode() + b"\n")

    def reach(self, what: str) -> bool:
        """Pass a moment, or die in it; return whether it is to be refused."""
        with self._lock:
            moment = f"{_place()}: {what}"
            self.note(moment=moment)
            if self.doom.fault in DEADLY and what == BEGIN:
                return False
            if moment in self.doom.spared:
                return False
            here, self._passed = self._passed, self._passed + 1
            if self.doom.fault in DEADLY and here == self.doom.at:
                self.note(struck=moment)
                os.kill(os.getpid(), signal.SIGKILL)
            if self.doom.fault is Fault.REFUSED_ONCE:
                return here == self.doom.at
            return self.doom.fault is Fault.REFUSED_ON and here >= self.doom.at


def install(moments: Moments, data: Path) -> None:
    """Make moments of what this process does below a folder, and to the ledger."""
    if moments.doom.fault is Fault.FILE_LIMIT:
        _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (moments.doom.at, hard))
    _watch_files(moments, str(data))
    _watch_names(moments, str(data))
    _watch_ledger(moments)


def _watch_files(moments: Moments, data: str) -> None:
    def write(descriptor: int, content: bytes) -> int:
        if not _path_of(descriptor).startswith(data):
            return _write(descriptor, content)
        half = bytes(content[: len(content) // 2])
        if moments.doom.fault in DEADLY:
            _write(descriptor, half)
            moments.reach("half written")
            return len(half) + _write(descriptor, content[len(half) :])
        if moments.reach("half written"):
            _write(descriptor, half)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return _write(descriptor, content)

    def fsync(descriptor: int) -> None:
        if not _path_of(descriptor).startswith(data):
            return
        if moments.reach("written, not synced"):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        _fsync(descriptor)
        facts = os.fstat(descriptor)
        moments.note(synced=_path_of(descriptor), inode=facts.st_ino, size=facts.st_size)

    os.write, os.fsync = write, fsync


def _watch_names(moments: Moments, data: str) -> None:
    watched = {"os.rename": 1, "os.mkdir": 0, "os.remove": 0}

    def hear(name: str, arguments: tuple[object, ...]) -> None:
        if name not in watched:
            return
        path = os.fspath(arguments[watched[name]])  # type: ignore[call-overload] - by the table of audit events a path
        if not str(path).startswith(data):
            return
        if moments.reach(f"before {name}"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        was = os.fspath(arguments[0]) if name == "os.rename" else ""  # type: ignore[call-overload] - as above
        moments.note(named=str(path), was=str(was))

    sys.addaudithook(hear)


def _watch_ledger(moments: Moments) -> None:
    writing = threading.local()

    def begin(connection) -> None:
        writing.now = not connection.get_execution_options().get("read_only", False)
        if writing.now and moments.reach(BEGIN):
            raise _refusal("database is locked")

    def commit(_connection) -> None:
        if writing.now and moments.reach("before commit"):
            raise _refusal("database or disk is full")

    def committed(_session) -> None:
        if writing.now:
            moments.reach("committed")

    event.listen(Engine, "begin", begin)
    event.listen(Engine, "commit", commit)
    event.listen(Session, "after_commit", committed)


def _refusal(text: str) -> OperationalError:
    return OperationalError("statement", None, sqlite3.OperationalError(text))


def _path_of(descriptor: int) -> str:
    return str(Path(f"/proc/self/fd/{descriptor}").readlink())


def _place() -> str:
    """Return the innermost function of the node that is at work, plumbing left out."""
    frame = sys._getframe(2)
    while frame is not None:
        file = frame.f_code.co_filename
        if file.startswith(NODE) and not file.endswith(_PLUMBING):
            return f"{Path(file).stem}.{frame.f_code.co_qualname}"
        frame = frame.f_back
    return "campaign"
