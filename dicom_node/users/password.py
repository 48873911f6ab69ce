"""Passwords: what they may be, and how they are kept (argon2id, RFC 9106)."""

import threading
from typing import Final

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError

from dicom_node.errors import AccountError

#: NIST SP 800-63B: length counts, composition rules do not.
SHORTEST: Final = 12
LONGEST: Final = 256

#: Each hash takes its memory for a moment; more of them wait their turn.
_AT_THE_SAME_TIME: Final = 2


class Passwords:
    """Hashes passwords and compares them.

    Parameters
    ----------
    memory_kib, rounds
        Cost of a hash. The defaults are the second recommendation of RFC 9106, section 4.
    """

    def __init__(self, *, memory_kib: int = 65536, rounds: int = 3) -> None:
        self._hasher = PasswordHasher(
            time_cost=rounds, memory_cost=memory_kib, parallelism=4, type=Type.ID
        )
        self._turn = threading.BoundedSemaphore(_AT_THE_SAME_TIME)
        self._nobody = ""

    def hash(self, password: str) -> str:
        """Return what is kept of a password."""
        with self._turn:
            return self._hasher.hash(password)

    def matches(self, password: str, kept: str) -> bool:
        """Return whether this is the password; takes as long where there is none to compare."""
        if len(password) > LONGEST:
            return False
        if not kept:
            self._nobody = self._nobody or self.hash("nobody")
        with self._turn:
            try:
                self._hasher.verify(kept or self._nobody, password)
            except (VerificationError, InvalidHashError):
                return False
        return bool(kept)


def check_password(password: str, *, name: str) -> None:
    """Refuse a password that is too easily guessed.

    Raises
    ------
    AccountError
        Saying what is wrong with it, without quoting it.
    """
    if not SHORTEST <= len(password) <= LONGEST:
        raise AccountError(f"a password has {SHORTEST} to {LONGEST} characters")
    if name.casefold() in password.casefold():
        raise AccountError("the name of the user may not be part of the password")
    if len(set(password.casefold())) < SHORTEST // 2:
        raise AccountError("the password repeats a few characters")
