"""The files of an uploaded zip archive, one at a time; what is no honest archive is refused.

Nothing is unpacked to the disk and no name of the archive becomes a path.
"""

import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from dicom_node.errors import NodeError

#: A local file header, or the end of an empty archive (APPNOTE 4.3.7, 4.3.16).
SIGNATURES: Final = (b"PK\x03\x04", b"PK\x05\x06")

#: Entries of one archive; a study of thin slices has some thousand images.
MOST_ENTRIES: Final = 20_000

#: Images become two to four times as long; air alone some hundred times, but not a whole archive.
MOST_INFLATION: Final = 100
_SMALL: Final = 64 * 2**20

#: The table of contents is read into memory.
_LONGEST_TABLE: Final = 16 * 2**20

_END = b"PK\x05\x06"
_END_LENGTH: Final = 22
_LONGEST_COMMENT: Final = 0xFFFF
_LOCATOR_64 = b"PK\x06\x07"
_LOCATOR_64_LENGTH: Final = 20

_ENCRYPTED: Final = 0x1
_METHODS: Final = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})

_BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, NotImplementedError)


class ArchiveRefusedError(NodeError):
    """An archive is not read at all; says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One file of an archive.

    Attributes
    ----------
    name : str
        As the archive has it; may be a patient's, so it is never logged.
    content : bytes
        Empty if it is refused.
    refusal : str
        Why it is not read; empty if it is.
    """

    name: str
    content: bytes = b""
    refusal: str = ""


def entries(path: Path, *, longest: int) -> Iterator[Entry]:
    """Yield the files of an archive.

    Parameters
    ----------
    path
        The archive.
    longest
        Longer files are refused, in bytes.

    Raises
    ------
    ArchiveRefusedError
        If it is broken, holds too many files, or too much for its size.
    """
    _check_table(path)
    try:
        archive = zipfile.ZipFile(path)
    except (*_BROKEN, ValueError) as error:
        raise ArchiveRefusedError("the archive is broken") from error
    with archive:
        listed = [one for one in archive.infolist() if not one.is_dir()]
        _check_sum(listed, path.stat().st_size)
        for one in listed:
            yield _entry(archive, one, longest)


def _check_table(path: Path) -> None:
    """Look at the end of the archive before any of its table is read."""
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(max(0, size - _END_LENGTH - _LONGEST_COMMENT - _LOCATOR_64_LENGTH))
        tail = file.read()
    at = tail.rfind(_END)
    if at < 0 or at + _END_LENGTH > len(tail):
        raise ArchiveRefusedError("the archive is cut off")
    count, table = struct.unpack_from("<HI", tail, at + 10)
    if tail[max(0, at - _LOCATOR_64_LENGTH) : at].startswith(_LOCATOR_64):
        raise ArchiveRefusedError("the archive is of the kind ZIP64; upload smaller parts")
    if count > MOST_ENTRIES or table > _LONGEST_TABLE:
        raise ArchiveRefusedError(f"the archive holds more than {MOST_ENTRIES} files")


def _check_sum(listed: list[zipfile.ZipInfo], size: int) -> None:
    if len(listed) > MOST_ENTRIES:
        raise ArchiveRefusedError(f"the archive holds more than {MOST_ENTRIES} files")
    if sum(one.file_size for one in listed) > max(_SMALL, size * MOST_INFLATION):
        raise ArchiveRefusedError(
            f"the archive would become more than {MOST_INFLATION} times as long"
        )


def _entry(archive: zipfile.ZipFile, one: zipfile.ZipInfo, longest: int) -> Entry:
    refusal = _refusal(one, longest)
    if refusal:
        return Entry(name=one.filename, refusal=refusal)
    try:
        with archive.open(one) as file:
            # No more than was announced, whatever is in it.
            content = file.read(one.file_size + 1)
    except _BROKEN:
        return Entry(name=one.filename, refusal="is damaged in the archive")
    if len(content) != one.file_size:
        return Entry(name=one.filename, refusal="is not as long as the archive says")
    return Entry(name=one.filename, content=content)


def _refusal(one: zipfile.ZipInfo, longest: int) -> str:
    """Return why a file of the archive is not read; empty if nothing is against it."""
    path = PurePosixPath(one.filename.replace("\\", "/"))
    leads_out = path.is_absolute() or ".." in path.parts or ":" in path.parts[0]
    if leads_out:
        return "its name leads out of the archive"
    if one.flag_bits & _ENCRYPTED:
        return "is encrypted"
    if one.compress_type not in _METHODS:
        return "is compressed in a way that is not read"
    if one.file_size > longest:
        return f"is longer than {longest // 2**20} MB"
    return ""
