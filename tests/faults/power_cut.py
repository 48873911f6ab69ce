"""What a power cut leaves of a folder: only what had been synced.

The model is that of POSIX at its strictest, but for one thing that the node asks of a file system
before it relies on it (`Disk.names_last_with_files`): a file that was synced keeps the name it had
then. A file keeps its content if it was synced after its last write, else it is empty. A name that
was given later stands if its folder was synced after that, else the file has its old name again;
a name without one is gone with what lies below it. What had been there when the life began stays.
SQLite's own files are left as they are: every commit of the ledger is synced
(`PRAGMA synchronous=FULL`).
"""

import json
import shutil
from collections.abc import Iterable
from pathlib import Path


def files_below(root: Path) -> frozenset[Path]:
    """Return all files and folders below a folder."""
    return frozenset(root.rglob("*"))


def cut_power(folders: Iterable[Path], before: frozenset[Path], diary: Path) -> int:
    """Take from the folders what was not synced; return how many files and folders it was.

    Parameters
    ----------
    folders
        Where the node keeps files.
    before
        What was there when the life began.
    diary
        What the life did, in order (`faults.points`).
    """
    entries = [json.loads(line) for line in diary.read_text().splitlines()]
    content = {one["inode"]: one["size"] for one in entries if "synced" in one}
    named: dict[str, str] = {}
    settled = set()
    for one in entries:
        if "named" in one:
            named[one["named"]] = one.get("was", "")
            settled.discard(one["named"])
        elif "synced" in one:
            settled |= {name for name in named if str(Path(name).parent) == one["synced"]}
    lost = 0
    for path in sorted(path for folder in folders for path in files_below(folder)):
        if path in before or not path.exists():
            continue
        was = named.get(str(path), "")
        if str(path) not in settled and was and path.is_file():
            if content.get(path.stat().st_ino) != path.stat().st_size:
                path.write_bytes(b"")
            path.rename(was)
            lost += 1
        elif str(path) not in settled:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
            lost += 1
        elif path.is_file() and content.get(path.stat().st_ino) != path.stat().st_size:
            path.write_bytes(b"")
            lost += 1
    return lost
