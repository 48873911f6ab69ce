"""Every version that a settings file has had: who made it, when, why, and what differs.

One text file per version and one line of JSON about it, so that a person can read them without
ichnode. Secrets are not among them: the settings only name the files that hold them.
"""

import difflib
import json
import os
import tomllib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from dicom_node.configuration.written import write_durably

#: Who is named for a version that was not made by ichnode.
OUTSIDE = "outside"

_PRIVATE = 0o700
_INDEX = "changes.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One version of the settings file, and how it came to be.

    Attributes
    ----------
    change_id : int
        Counts from 1.
    at : datetime
        When it was made; for one from outside, when it was noticed.
    who : str
        Who made it, ``outside`` for an editor.
    why : str
        In the words of who made it.
    digest : str
        SHA-256 of the text afterwards, hexadecimal.
    tables : tuple of str
        Top-level tables that say something else than before.
    diff : str
        From the version before to this one, unified; empty for the first.
    """

    change_id: int
    at: datetime
    who: str
    why: str
    digest: str
    tables: tuple[str, ...]
    diff: str

    def as_dict(self) -> dict[str, Any]:
        """Return the change for JSON."""
        return {**asdict(self), "at": self.at.isoformat(), "tables": list(self.tables)}


class ConfigurationHistory:
    """The versions of one settings file in a folder of their own.

    Writers hold the lock of the folder; see `dicom_node.configuration.desk`.

    Parameters
    ----------
    folder
        Made with the first version, for the node's own account only.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def lock(self) -> Path:
        """The file that a writer locks."""
        return self.folder / "lock"

    def prepare(self) -> None:
        """Make the folder. Raises OSError."""
        self.folder.mkdir(mode=_PRIVATE, parents=True, exist_ok=True)

    def changes(self) -> tuple[Change, ...]:
        """Return every version, oldest first; a line that a crash cut off is left out.

        Raises
        ------
        OSError
            If the folder cannot be read.
        """
        try:
            lines = (self.folder / _INDEX).read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return ()
        return tuple(self._change(line) for line in lines if _is_whole(line))

    def text_of(self, change_id: int) -> str:
        """Return the whole text of a version.

        Raises
        ------
        OSError
            If there is no such version.
        """
        return self._text_file(change_id).read_text(encoding="utf-8")

    def add(self, text: str, *, digest: str, who: str, why: str, now: datetime) -> Change:
        """Keep a version, durably; the caller holds the lock. Raises OSError."""
        before = self.changes()
        old = self.text_of(before[-1].change_id) if before else ""
        number = before[-1].change_id + 1 if before else 1
        change = Change(
            change_id=number,
            at=now,
            who=who,
            why=why,
            digest=digest,
            tables=changed_tables(old, text) if before else (),
            diff=unified(old, text) if before else "",
        )
        write_durably(self._text_file(number), text)
        write_durably(self._text_file(number).with_suffix(".diff"), change.diff)
        facts = change.as_dict()
        del facts["diff"]
        self._append(json.dumps(facts))
        return change

    def _append(self, line: str) -> None:
        """Add a line, durably; behind one that a crash cut off, a new one is begun."""
        descriptor = os.open(self.folder / _INDEX, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            size = os.fstat(descriptor).st_size
            is_cut_off = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
            os.write(descriptor, f"{chr(10) * is_cut_off}{line}\n".encode())
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _text_file(self, change_id: int) -> Path:
        return self.folder / f"{change_id:05}.toml"

    def _change(self, line: str) -> Change:
        facts = json.loads(line)
        diff = self._text_file(facts["change_id"]).with_suffix(".diff")
        return Change(
            change_id=facts["change_id"],
            at=datetime.fromisoformat(facts["at"]),
            who=facts["who"],
            why=facts["why"],
            digest=facts["digest"],
            tables=tuple(facts["tables"]),
            diff=diff.read_text(encoding="utf-8"),
        )


def unified(old: str, new: str) -> str:
    """Return what differs between two texts, as unified text without file names."""
    lines = difflib.unified_diff(
        old.splitlines(keepends=True), new.splitlines(keepends=True), "before", "after"
    )
    return "".join(line if line.endswith("\n") else f"{line}\n" for line in lines)


def changed_tables(old: str, new: str) -> tuple[str, ...]:
    """Return the top-level tables that say something else; none if either text is no TOML."""
    try:
        before, after = tomllib.loads(old), tomllib.loads(new)
    except tomllib.TOMLDecodeError:
        return ()
    names: Sequence[str] = [*before, *(name for name in after if name not in before)]
    return tuple(name for name in names if before.get(name) != after.get(name))


def _is_whole(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False
