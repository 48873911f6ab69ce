"""Accounts and tokens: made, changed and removed by admins."""

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from dicom_node.errors import AccountError
from dicom_node.jobs.user_ledger import Account, Token, UserLedger
from dicom_node.users.role import UserRole
from dicom_node.users.secret import digest_of, digest_of_code, new_code, new_token

#: How long a one-time code can be used.
CODE_VALID: Final = timedelta(hours=72)

#: A token that nobody renews ends.
LONGEST_TOKEN_DAYS: Final = 3650

#: The account that a first start makes.
FIRST_USER: Final = "admin"

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,31}")


class Accounts:
    """What admins do with accounts and tokens.

    Parameters
    ----------
    ledger
        Where they are kept.
    clock
        Returns the present as an aware time.
    """

    def __init__(self, ledger: UserLedger, *, clock: Callable[[], datetime]) -> None:
        self._ledger = ledger
        self._clock = clock

    def all(self) -> tuple[Account, ...]:
        """Return every account, by name."""
        return self._ledger.accounts()

    def add(self, name: str, role: UserRole, *, by: str) -> str:
        """Add an account and return the one-time code that sets its password.

        Raises
        ------
        AccountError
            If the name cannot be one, or is taken.
        """
        _check_name(name)
        code, now = new_code(), self._clock()
        self._ledger.add(
            name,
            role=role.value,
            code=digest_of_code(code),
            code_until=now + CODE_VALID,
            by=by,
            now=now,
        )
        return code

    def new_code(self, name: str) -> str:
        """Take the password of an account and return the code that sets another.

        Raises AccountError if there is no such account.
        """
        code = new_code()
        until = self._clock() + CODE_VALID
        self._ledger.set_code(name, code=digest_of_code(code), until=until)
        return code

    def set_role(self, name: str, role: UserRole) -> None:
        """Change what somebody may do. Raises AccountError if no admin would remain."""
        self._ledger.set_role(name, role.value, keep=UserRole.ADMIN.value)

    def remove(self, name: str) -> None:
        """Remove an account, its sessions and the tokens it made.

        Raises AccountError if there is no such account, or no admin would remain.
        """
        self._ledger.remove(name, keep=UserRole.ADMIN.value)

    def first_code(self) -> str | None:
        """Return a code for the first admin as long as nobody has ever logged in, else None.

        Every start makes a new one, so that the last one shown is the one that works.
        """
        accounts = [one for one in self._ledger.accounts() if one.kind == "local"]
        if not accounts:
            return self.add(FIRST_USER, UserRole.ADMIN, by="first start")
        (first, *others) = accounts
        if others or first.name != FIRST_USER or first.password_at is not None:
            return None
        return self.new_code(FIRST_USER)

    def tokens(self) -> tuple[Token, ...]:
        """Return every token, by name."""
        return self._ledger.tokens()

    def add_token(self, name: str, role: UserRole, *, days: int, by: str) -> str:
        """Add a token and return it; it can never be shown again.

        Raises
        ------
        AccountError
            If the name cannot be one or is taken, or the number of days makes no sense.
        """
        _check_name(name)
        if not 1 <= days <= LONGEST_TOKEN_DAYS:
            raise AccountError(f"a token lasts 1 to {LONGEST_TOKEN_DAYS} days, not {days}")
        token, now = new_token(), self._clock()
        self._ledger.add_token(
            name,
            role=role.value,
            digest=digest_of(token),
            expires_at=now + timedelta(days=days),
            by=by,
            now=now,
        )
        return token

    def remove_token(self, name: str) -> None:
        """Remove a token: from now on it opens nothing. Raises AccountError."""
        self._ledger.remove_token(name)


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise AccountError(
            "a name has 1 to 32 characters: lower-case letters, digits, '.', '-', '_', "
            f"and begins with a letter or digit; found {name[:40]!r}"
        )
