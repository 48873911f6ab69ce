"""Secrets that the node makes: sessions, tokens, one-time codes. Only digests of them are kept."""

import hashlib
import hmac
import secrets
from typing import Final

#: Letters and digits that nobody mistakes for one another when they are read out.
_LETTERS: Final = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
_CODE_LENGTH: Final = 12
_CODE_GROUP: Final = 4

#: What a token begins with, so that a scanner for leaked secrets can find it.
TOKEN_PREFIX: Final = "ichnode_"  # noqa: S105 - not a secret


def new_secret() -> str:
    """Return 256 random bits as text for a cookie."""
    return secrets.token_urlsafe(32)


def new_token() -> str:
    """Return 256 random bits as text for a program."""
    return TOKEN_PREFIX + new_secret()


def new_code() -> str:
    """Return 59 random bits as text that can be read out: ``ABCD-EFGH-JKLM``."""
    letters = "".join(secrets.choice(_LETTERS) for _ in range(_CODE_LENGTH))
    starts = range(0, _CODE_LENGTH, _CODE_GROUP)
    return "-".join(letters[start : start + _CODE_GROUP] for start in starts)


def digest_of(secret: str) -> str:
    """Return what is stored of a secret of full entropy."""
    return hashlib.sha256(secret.encode()).hexdigest()


def digest_of_code(code: str) -> str:
    """Return what is stored of a one-time code; blanks, dashes and case do not matter."""
    return digest_of("".join(letter for letter in code.upper() if letter.isalnum()))


def derived(secret: str, purpose: str) -> str:
    """Return another secret that only the holder of the first one can know."""
    return hmac.new(secret.encode(), purpose.encode(), hashlib.sha256).hexdigest()


def same(one: str, other: str) -> bool:
    """Return whether two texts are equal, in a time that says nothing about where they differ."""
    return hmac.compare_digest(one.encode(), other.encode())
