"""Writing a small text file so that a reader finds the old one or the new one, whole."""

import os
import tempfile
from pathlib import Path


def write_durably(path: Path, text: str) -> None:
    """Write a file at one stroke, with the rights that it had; a new one is for its owner alone.

    Raises
    ------
    OSError
        If it cannot be written; the old file is untouched then.
    """
    target = path.resolve()
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    partial = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        if target.exists():
            _keep_rights(target, partial)
        partial.replace(target)
        _sync_folder(target.parent)
    except OSError:
        partial.unlink(missing_ok=True)
        raise


def _keep_rights(target: Path, partial: Path) -> None:
    """Give the new file mode and owner of the old one; only root can give it another owner."""
    found = target.stat()
    partial.chmod(found.st_mode & 0o7777)
    if (found.st_uid, found.st_gid) != (os.geteuid(), os.getegid()):
        try:
            os.chown(partial, found.st_uid, found.st_gid)
        except PermissionError:
            return


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
