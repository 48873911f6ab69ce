"""A power cut for any program: strace says what it synced, the rest is taken away.

The model is kinder than `faults.power_cut`: a name stands if its file was synced, as ext4 and xfs
do it, even if nobody synced the folder. Of a write-ahead log the pages that were written since its
last sync become zeros; any other file that was written to since its last sync becomes empty.
Pages of a database file itself are left alone: they are in its write-ahead log as well, which was
synced before them.
"""

import os
import re
import shutil
import signal
import subprocess
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

_CALLS = "write,pwrite64,writev,pwritev,fsync,fdatasync,rename,renameat,renameat2"
_WAL = "-wal"
_DATABASES = (".sqlite", "index", "-shm", "-journal")

_LINE = re.compile(r"^(?P<pid>\d+) +(?P<call>\w+)\((?P<rest>.*)$")
_RESUMED = re.compile(r"^(?P<pid>\d+) +<\.\.\. (?P<call>\w+) resumed>(?P<rest>.*)$")
_DESCRIPTOR = re.compile(r"^\d+<(?P<path>[^>]*)>")
_PWRITE_END = re.compile(r", (?P<length>\d+), (?P<offset>\d+)\) += \d+$")
_NAMES = re.compile(r'"(?P<name>[^"]*)"')


def traced(command: Sequence[str], log: Path) -> list[str]:
    """Return the command that runs another one and writes down what it writes and syncs."""
    program = shutil.which("strace")
    if program is None:
        raise RuntimeError("strace is not installed")
    return [
        program,
        "-f",
        "-qq",
        "-y",
        "-s",
        "0",
        "-e",
        f"trace={_CALLS}",
        "-o",
        str(log),
        *command,
    ]


@dataclass(frozen=True, slots=True)
class Trace:
    """What one life of a program wrote and synced.

    Attributes
    ----------
    log : Path
        The output of strace.
    """

    log: Path

    def kill(self, tracer: subprocess.Popen[bytes]) -> None:
        """Kill the program, not who watches it."""
        children = Path(f"/proc/{tracer.pid}/task/{tracer.pid}/children").read_text().split()
        for pid in children:
            os.kill(int(pid), signal.SIGKILL)
        tracer.wait(60)

    def cut(self, store: Path) -> int:
        """Take from a store what was not synced; return how many pages and files it was."""
        lost = 0
        for path, ranges in unsynced(self.log.read_text(errors="replace").splitlines()).items():
            file = Path(path)
            if not file.is_relative_to(store) or not file.is_file():
                continue
            if path.endswith(_WAL):
                with file.open("r+b") as stream:
                    for offset, length in ranges:
                        stream.seek(offset)
                        stream.write(bytes(length))
                        lost += 1
            elif not path.endswith(_DATABASES):
                file.write_bytes(b"")
                lost += 1
        return lost


def unsynced(lines: Sequence[str]) -> dict[str, list[tuple[int, int]]]:
    """Return the ranges (offset, bytes) of every file that were written since its last sync."""
    dirty: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
    for call, rest in _whole_calls(lines):
        if call.startswith("rename"):
            names = [match["name"] for match in _NAMES.finditer(rest)]
            if len(names) == 2 and names[0] in dirty:
                dirty[names[1]] = dirty.pop(names[0])
            continue
        at = _DESCRIPTOR.match(rest)
        if at is None:
            continue
        if call in {"fsync", "fdatasync"}:
            if rest.rstrip().endswith("= 0"):
                dirty.pop(at["path"], None)
        else:
            end = _PWRITE_END.search(rest) if call == "pwrite64" else None
            dirty[at["path"]].append((int(end["offset"]), int(end["length"])) if end else (0, 0))
    return dict(dirty)


def _whole_calls(lines: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield name and rest of every call; those that others interrupted are put together.

    A write counts from its beginning, a sync from its end.
    """
    begun: dict[str, str] = {}
    for line in lines:
        resumed = _RESUMED.match(line)
        if resumed is not None:
            rest = begun.pop(resumed["pid"], "") + resumed["rest"]
            yield resumed["call"], rest
            continue
        match = _LINE.match(line)
        if match is None:
            continue
        if match["rest"].endswith("<unfinished ...>"):
            begun[match["pid"]] = match["rest"].removesuffix("<unfinished ...>").rstrip()
            continue
        yield match["call"], match["rest"]
    for rest in begun.values():  # killed in it: what was written may be there, and is not synced
        yield "write", rest
