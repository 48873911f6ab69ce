"""The instances in the node's custody, as files that are complete or absent."""

import errno
import hashlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dicom_node.association.file_format import split_file
from dicom_node.errors import SpoolFullError, SpoolWriteError
from dicom_node.intake.disk import PART_SUFFIX, Disk, DurableFiles
from dicom_node.intake.instance import ReceivedInstance, content_digest

LOGGER = logging.getLogger(__name__)

#: Characters of a digest in a file name: 128 bits for identity, 64 to tell versions apart.
_NAME_LENGTH = 32
_VERSION_LENGTH = 16
_FILE_SUFFIX = ".dcm"

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})
_QUARANTINE = "quarantine"


@dataclass(frozen=True, slots=True, kw_only=True)
class SpoolLimits:
    """How much of the disk is left alone.

    Attributes
    ----------
    free_floor_bytes : int
        Room that must remain after an instance has been stored; results, ledger and the rest of
        the system live from it.
    """

    free_floor_bytes: int = 2 * 2**30

    def __post_init__(self) -> None:
        if self.free_floor_bytes < 0:
            raise ValueError(f"free_floor_bytes must not be negative, got {self.free_floor_bytes}")


class Spool:
    """Files below one folder, ``<series>/<instance>-<content>.dcm``, named by digests.

    The name holds the digest of the content. So the same instance sent twice is the same file,
    and an instance sent again with other content never touches what was acknowledged before.

    Parameters
    ----------
    root
        The folder; made if absent.
    limits
        Room to leave.
    disk
        The file system.
    """

    def __init__(
        self, root: Path, *, limits: SpoolLimits | None = None, disk: Disk | None = None
    ) -> None:
        self._root = root
        self._limits = limits or SpoolLimits()
        self._disk = disk or Disk()
        self._files = DurableFiles(self._disk, finishes_parts=True)
        root.mkdir(parents=True, exist_ok=True)

    def use(self, limits: SpoolLimits) -> None:
        """Leave other room from now on."""
        self._limits = limits

    @property
    def root(self) -> Path:
        """The folder that file names in the ledger are relative to."""
        return self._root

    def put(self, instance: ReceivedInstance) -> Path:
        """Make the bytes of an instance durable and return their path, relative to the root.

        Raises
        ------
        SpoolFullError
            If less than the floor would remain, or the disk turned out to be full.
        SpoolWriteError
            If the disk refuses for another reason.
        """
        relative = _place(instance)
        parts = (instance.request.file_header, instance.request.data_set)
        needed = sum(len(part) for part in parts)
        try:
            free = self._disk.free_bytes(self._root)
            if free - needed < self._limits.free_floor_bytes:
                raise SpoolFullError(
                    f"{needed} bytes would leave {free - needed} free, "
                    f"{self._limits.free_floor_bytes} must remain"
                )
            self._files.write(self._root / relative, parts)
        except OSError as error:
            if error.errno in _NO_ROOM:
                raise SpoolFullError("The disk of the spool is full") from error
            raise SpoolWriteError(f"The spool cannot write: {error.strerror}") from error
        return relative

    def settle_parts(self) -> int:
        """Bring what was being written when the node was last stopped to an end.

        A complete part, which may have been acknowledged, gets its name; the others are deleted,
        nothing of them was. Returns how many were deleted.
        """
        removed = 0
        for part in list(self._root.rglob(f"*{PART_SUFFIX}")):
            name, ending, _ = part.name.partition(_FILE_SUFFIX)
            if ending and _is_complete(part, version=name.rpartition("-")[2]):
                self._disk.rename(part, part.with_name(name + ending))
            else:
                part.unlink(missing_ok=True)
                removed += 1
        return removed

    def files(self) -> Iterator[Path]:
        """Yield the path of every instance, relative to the root."""
        for path in self._root.glob("*/*.dcm"):
            if path.parent.name != _QUARANTINE:
                yield path.relative_to(self._root)

    def has(self, relative: Path) -> bool:
        """Return whether a file is there."""
        return (self._root / relative).is_file()

    def read(self, relative: Path) -> bytes:
        """Return a file as it was stored."""
        return (self._root / relative).read_bytes()

    def quarantine(self, relative: Path) -> None:
        """Put a file aside that is no instance; it is kept for a person to look at."""
        folder = self._root / _QUARANTINE
        folder.mkdir(exist_ok=True)
        (self._root / relative).replace(folder / relative.name)


def _place(instance: ReceivedInstance) -> Path:
    name = f"{_digest(instance.sop_instance_uid)}-{instance.content_digest[:_VERSION_LENGTH]}"
    return Path(_digest(instance.series_instance_uid)) / f"{name}{_FILE_SUFFIX}"


def _is_complete(part: Path, *, version: str) -> bool:
    """Return whether a file holds the content whose digest its name tells."""
    try:
        encoded = part.read_bytes()
        meta, offset = split_file(encoded)
    except (OSError, ValueError):
        return False
    digest = content_digest(meta.transfer_syntax_uid, memoryview(encoded)[offset:])
    return len(version) == _VERSION_LENGTH and digest.startswith(version)


def _digest(uid: str) -> str:
    # UIDs come from outside; a digest of them is a safe and short file name.
    return hashlib.sha256(uid.encode()).hexdigest()[:_NAME_LENGTH]
