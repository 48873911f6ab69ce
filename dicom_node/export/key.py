"""The key of an export: the only way back from its names, UIDs and dates to a patient's."""

import hashlib
import hmac
import os
import secrets
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from dicom_node.errors import ExportError

_HEADING = "ichnode export key 1"
_KEY_BYTES = 32

#: Readable by its owner alone.
_PRIVATE = 0o600
_OTHERS = 0o077

#: Digits of a pseudonym: one chance in a million of a collision among 1,000 patients.
_PSEUDONYM_DIGITS = 10

#: Dates go back by one day to about ten years, and by some seconds of a day.
_MOST_DAYS = 3650
_DAY_S = 24 * 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportKey:
    """Secret that all names of an export are made from; the same secret gives the same names.

    Attributes
    ----------
    secret : bytes
        Random; whoever holds it can tell whether somebody whose identifiers they know took part.
    """

    secret: bytes = field(repr=False)

    def pseudonym(self, patient: str) -> str:
        """Return the name of a patient in the export."""
        return f"P{self._digest('patient', patient).hex()[:_PSEUDONYM_DIGITS]}"

    def uid(self, original: str) -> str:
        """Return what a UID becomes: one made of a UUID (PS3.5, annex B.2)."""
        uuid = bytearray(self._digest("uid", original)[:16])
        uuid[6] = uuid[6] & 0x0F | 0x80  # version 8: made in a way of its own (RFC 9562)
        uuid[8] = uuid[8] & 0x3F | 0x80
        return f"2.25.{int.from_bytes(uuid)}"

    def shift(self, patient: str) -> timedelta:
        """Return by how much the times of a patient are moved, always into the past."""
        number = int.from_bytes(self._digest("shift", patient))
        days, number = 1 + number % _MOST_DAYS, number // _MOST_DAYS
        return -timedelta(days=days, seconds=number % _DAY_S)

    def token(self, *parts: str) -> str:
        """Return a digest that tells nothing but whether two exports are of the same things."""
        return self._digest("token", *parts).hex()

    def _digest(self, *parts: str) -> bytes:
        return hmac.new(self.secret, "\0".join(parts).encode(), hashlib.sha256).digest()


def open_key(path: Path) -> ExportKey:
    """Return the key in a file; a new one is made where there is none, for its owner alone.

    Raises
    ------
    ExportError
        If the file is no key, can be read by others, or cannot be read or made.
    """
    try:
        if not path.exists():
            _make(path)
        if path.stat().st_mode & _OTHERS:
            raise ExportError(f"others can read the key file {path}; chmod 600 {path}")
        heading, _, secret = path.read_text(encoding="ascii").strip().partition("\n")
    except OSError as error:
        raise ExportError(f"key file {path}: {error.strerror}") from error
    except UnicodeDecodeError:
        raise ExportError(f"{path} is no key of an export") from None
    try:
        key = ExportKey(secret=bytes.fromhex(secret))
    except ValueError:
        raise ExportError(f"{path} is no key of an export") from None
    if heading != _HEADING or len(key.secret) != _KEY_BYTES:
        raise ExportError(f"{path} is no key of an export")
    return key


def _make(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE)
    with os.fdopen(descriptor, "w", encoding="ascii") as stream:
        stream.write(f"{_HEADING}\n{secrets.token_hex(_KEY_BYTES)}\n")
