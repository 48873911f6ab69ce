"""Reading a secret from a file that nobody else may read."""

import stat
from pathlib import Path

_SHARED_MODE = stat.S_IRWXG | stat.S_IRWXO


class SecretFileError(RuntimeError):
    """A secret cannot be used; names the file, never its content."""


def read_secret(path: Path) -> str:
    """Return the first line of a file, read anew each time so that it can be changed.

    Raises
    ------
    SecretFileError
        If the file cannot be read, is empty, or can be read by others.
    """
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SecretFileError(
            f"{path}: the secret cannot be read: {type(error).__name__}"
        ) from error
    if mode & _SHARED_MODE:
        raise SecretFileError(
            f"{path}: found mode {mode:04o}, which lets others read the secret; "
            f"expected 0600 (chmod 600 {path})"
        )
    if not lines or not lines[0].strip():
        raise SecretFileError(f"{path}: the secret is empty")
    return lines[0].strip()
