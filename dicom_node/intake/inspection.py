"""Whether what the node has in custody is there, byte for byte."""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path

from dicom_node.association.file_format import split_file

#: A younger file without a row may be an image that is being received: its row comes next.
SETTLED_AFTER = timedelta(minutes=10)

OnBytes = Callable[[int], None]


class Damage(StrEnum):
    """What is wrong with a file."""

    MISSING = "missing"  #: the ledger knows it, the disk does not
    CHANGED = "changed"  #: its bytes are not those that were stored
    UNREADABLE = "unreadable"  #: the disk refuses to read it


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldFile:
    """A file that the ledger knows.

    Attributes
    ----------
    path : Path
        Relative to its folder.
    content_digest : str
        SHA-256, hexadecimal: of an image over its transfer syntax UID, a zero byte and its data
        set, of a result over the whole file.
    size_bytes : int
        Length, of an image that of its data set.
    series_uid : str
        Which series it belongs to.
    transfer_syntax_uid : str
        Of an image; empty for a result.
    """

    path: Path
    content_digest: str
    size_bytes: int
    series_uid: str
    transfer_syntax_uid: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Damaged:
    """A file that is not as it was stored."""

    file: HeldFile
    damage: Damage


def damaged_files(
    folder: Path, files: Iterable[HeldFile], *, on_bytes: OnBytes
) -> tuple[Damaged, ...]:
    """Return the files that are not as they were stored; every byte is read again.

    Parameters
    ----------
    folder
        Where they lie: spool or outbox.
    files
        What the ledger knows.
    on_bytes
        Called with the length of each file once it was read.
    """
    found = []
    for file in files:
        damage = _damage_of(folder, file)
        if damage is not None:
            found.append(Damaged(file=file, damage=damage))
        on_bytes(file.size_bytes)
    return tuple(found)


def orphans(
    folder: Path,
    present: Iterable[Path],
    known: frozenset[Path],
    *,
    now: datetime,
    settled: timedelta = SETTLED_AFTER,
) -> tuple[Path, ...]:
    """Return the files that the ledger does not know, relative to the folder.

    Parameters
    ----------
    folder
        Where they lie.
    present
        Files of the folder, relative to it.
    known
        Those with a row.
    now
        The present.
    settled
        Younger files are left out.
    """
    oldest = (now - settled).timestamp()
    return tuple(
        sorted(path for path in present if path not in known and _is_older(folder / path, oldest))
    )


def _is_older(path: Path, moment: float) -> bool:
    try:
        return path.stat().st_mtime < moment
    except FileNotFoundError:  # purged since the folder was listed
        return False


def _damage_of(folder: Path, file: HeldFile) -> Damage | None:
    try:
        content = (folder / file.path).read_bytes()
    except FileNotFoundError:
        return Damage.MISSING
    except OSError:
        return Damage.UNREADABLE
    return None if _digest_of(content, file) == file.content_digest else Damage.CHANGED


def _digest_of(content: bytes, file: HeldFile) -> str:
    if not file.transfer_syntax_uid:
        return hashlib.sha256(content).hexdigest()
    try:
        _, offset = split_file(content)
    except ValueError:  # not even its header is intact
        return ""
    digest = hashlib.sha256(file.transfer_syntax_uid.encode() + b"\0")
    digest.update(memoryview(content)[offset:])
    return digest.hexdigest()
