"""The calls that make bytes durable, in one place so that tests can let each of them fail."""

import errno
import os
import shutil
import threading
from collections.abc import Iterable
from pathlib import Path

#: What a file is called until it is complete.
PART_SUFFIX = ".part"

#: File systems on which the name of a new file is durable once the file is: `fsync` of the file
#: writes the journal, and the name stands in it. Not promised by POSIX; tried with each of them by
#: tests/faults/sudden_death.py.
_JOURNALS = frozenset({"ext4", "xfs"})

#: How a file is made, whose mode the process's mask narrows.
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
_MODE = 0o666

#: What file systems say that have nothing to reserve.
_CANNOT_RESERVE = frozenset({errno.EOPNOTSUPP, errno.EINVAL, errno.ENODEV})

_MOUNTS = Path("/proc/self/mountinfo")


class Disk:
    """A local POSIX file system."""

    def free_bytes(self, folder: Path) -> int:
        """Return the room left for an ordinary user on the file system of `folder`."""
        return shutil.disk_usage(folder).free

    def names_last_with_files(self, folder: Path) -> bool:
        """Return whether a file that was synced keeps its name without a sync of its folder."""
        try:
            device = folder.stat().st_dev
            lines = _MOUNTS.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return False
        number = f"{os.major(device)}:{os.minor(device)}"
        # Mount ID, parent, device, root, mount point, options, "-", file system (proc(5)).
        fields = [line.split(" ") for line in lines]
        kinds = {one[one.index("-") + 1] for one in fields if one[2] == number and "-" in one}
        return bool(kinds) and kinds <= _JOURNALS

    def write(self, path: Path, parts: Iterable[bytes]) -> None:
        """Write a new file and wait until its content is on the disk."""
        parts = tuple(parts)
        descriptor = os.open(path, _NEW_FILE, _MODE)
        try:
            _reserve(descriptor, sum(map(len, parts)))
            for part in parts:
                _write_all(descriptor, part)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def rename(self, source: Path, target: Path) -> None:
        """Give a file its name, atomically; a file of that name is replaced."""
        source.replace(target)

    def sync_folder(self, folder: Path) -> None:
        """Wait until the names in `folder` are on the disk."""
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


class DurableFiles:
    """Writes files that are either there as a whole or not at all, even if the power fails.

    ``NAME.part`` is written and synced, renamed, and the folder is synced; a new folder is synced
    into its parent first. Safe to use from several threads, for the same name too.

    Parameters
    ----------
    disk
        The file system.
    finishes_parts
        Whether the owner of the files gives a complete ``NAME.part`` its name at the next start.
        Then the name need not last, and on file systems that allow it the folder is not synced:
        after a power cut the file has one of the two names.
    """

    def __init__(self, disk: Disk, *, finishes_parts: bool = False) -> None:
        self._disk = disk
        self._finishes_parts = finishes_parts
        self._lasting: dict[Path, bool] = {}
        self._synced_folders: set[Path] = set()

    def write(self, path: Path, parts: Iterable[bytes]) -> None:
        """Write a file, replacing one of the same name.

        Raises
        ------
        OSError
            If the disk refuses; no part of the file is left behind then.
        """
        folder = path.parent
        self._ensure(folder)
        # Two associations may send the same instance at the same time.
        part = path.with_name(f"{path.name}.{os.getpid()}-{threading.get_ident()}{PART_SUFFIX}")
        try:
            self._disk.write(part, parts)
            self._disk.rename(part, path)
        except OSError:
            part.unlink(missing_ok=True)
            raise
        if not self._name_lasts(folder.parent):
            self._disk.sync_folder(folder)

    def _name_lasts(self, parent: Path) -> bool:
        if not self._finishes_parts:
            return False
        if parent not in self._lasting:
            self._lasting[parent] = self._disk.names_last_with_files(parent)
        return self._lasting[parent]

    def _ensure(self, folder: Path) -> None:
        if folder in self._synced_folders and folder.is_dir():
            return
        folder.mkdir(parents=True, exist_ok=True)
        self._disk.sync_folder(folder.parent)
        self._synced_folders.add(folder)


def _reserve(descriptor: int, count: int) -> None:
    """Have room on the disk before the first byte, where the file system can do that.

    It looks for one place for the whole file then, and not page by page: a quarter less of
    processor time where several senders write at once (ext4, half a megabyte).
    """
    try:
        os.posix_fallocate(descriptor, 0, count)
    except OSError as error:
        if error.errno not in _CANNOT_RESERVE:
            raise


def _write_all(descriptor: int, data: bytes) -> None:
    # One write takes at most 2 GiB on Linux, and may take less than it is given.
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
