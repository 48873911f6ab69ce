"""Log-in and log-out: passwords, sessions and tokens that come in, and how often they may fail."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from dicom_node.errors import AccountError
from dicom_node.jobs.user_ledger import Account, SignIn, UserLedger
from dicom_node.users.password import Passwords, check_password
from dicom_node.users.role import UserRole
from dicom_node.users.secret import digest_of, digest_of_code, new_secret, same

#: So many failures of one name from one address, or from one address at all, within this time,
#: and the next attempt is not even looked at.
THROTTLE_TIME: Final = timedelta(minutes=15)
FAILURES_OF_NAME: Final = 5
FAILURES_OF_ADDRESS: Final = 30

#: What is written down of log-ins is kept for so long.
_KEPT: Final = timedelta(days=400)

#: That a session or token is in use is written down once in so long.
_TOUCH_EVERY: Final = timedelta(minutes=1)

_REFUSED: Final = "the name or the password is wrong"
_REFUSED_CODE: Final = "the name or the one-time code is wrong, or the code is too old"

_KEPT_ELSEWHERE: Final = "the log-in provider keeps this password; change it there"
NO_ROLE: Final = "the log-in provider gives you no role in this node"

#: What the name of an account of a log-in provider ends with; no account of the node's own can.
_FOREIGN: Final = "@oidc"
_LONGEST_NAME: Final = 48
_NOT_IN_NAMES: Final = re.compile(r"[^a-z0-9._@+-]")


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRules:
    """How long a session may go unused, and how long it may last."""

    idle: timedelta = timedelta(hours=1)
    longest: timedelta = timedelta(hours=12)


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Who somebody or some program turned out to be."""

    name: str
    role: UserRole


class Entrance:
    """Lets people and programs in.

    Parameters
    ----------
    ledger
        Accounts, sessions, tokens, and who tried.
    passwords
        Compares passwords.
    rules
        How long sessions last.
    clock
        Returns the present as an aware time.
    """

    def __init__(
        self,
        ledger: UserLedger,
        *,
        passwords: Passwords,
        rules: SessionRules,
        clock: Callable[[], datetime],
    ) -> None:
        self._ledger = ledger
        self._passwords = passwords
        self._rules = rules
        self._clock = clock

    def log_in(self, name: str, password: str, *, address: str) -> str:
        """Open a session and return its secret.

        Raises
        ------
        AccountError
            If name or password is wrong, or it was tried too often.
        """
        name = _folded(name)
        self._check_throttle(name, address)
        account = self._ledger.account(name)
        if not self._passwords.matches(password, account.password if account else ""):
            self._fail(name, address, _REFUSED)
        return self._open(name, address)

    def let_in(self, subject: str, name: str, role: UserRole | None, *, address: str) -> str:
        """Open a session for a person whom a log-in provider has let in; return its secret.

        Parameters
        ----------
        subject
            Tells the person for ever.
        name
            As the provider has it; an ending keeps it apart from accounts of the node's own.
        role
            What the provider says that the person may do; None for nothing.
        address
            Where from.

        Raises
        ------
        AccountError
            If that is nothing, or another person has the name.
        """
        name = _foreign_name(name, subject)
        if role is None:
            self._ledger.shut_out(subject)
            self._fail(name, address, NO_ROLE)
            return ""
        try:
            known = self._ledger.welcome(subject, name, role=role.value, now=self._clock())
        except AccountError:
            self._note(name, SignIn.FAILED, address)
            raise
        return self._open(known, address)

    def refuse(self, *, address: str) -> None:
        """Write down that what a log-in provider was said to answer was not believed."""
        self._note(f"unknown{_FOREIGN}", SignIn.FAILED, address)

    def set_first_password(self, name: str, code: str, password: str, *, address: str) -> str:
        """Set a password with a one-time code, open a session and return its secret.

        Raises
        ------
        AccountError
            If name or code is wrong, it was tried too often, or the password is too weak.
        """
        name = _folded(name)
        self._check_throttle(name, address)
        account = self._ledger.account(name)
        if account is None or not self._is_code(account, code):
            self._fail(name, address, _REFUSED_CODE)
            return ""
        check_password(password, name=name)
        kept = self._passwords.hash(password)
        self._ledger.set_password(name, kept, self._clock(), code=account.code)
        return self._open(name, address)

    def change_password(self, name: str, old: str, new: str, *, address: str) -> str:
        """Change a password, end all sessions of the account and return the secret of a new one.

        Raises
        ------
        AccountError
            If the old password is wrong, it was tried too often, or the new one is too weak.
        """
        self._check_throttle(name, address)
        account = self._ledger.account(name)
        if account is not None and account.kind != "local":
            raise AccountError(_KEPT_ELSEWHERE)
        if not self._passwords.matches(old, account.password if account else ""):
            self._fail(name, address, "the present password is wrong")
        check_password(new, name=name)
        self._ledger.set_password(name, self._passwords.hash(new), self._clock())
        return self._open(name, address)

    def log_out(self, secret: str, *, address: str) -> None:
        """End a session."""
        found = self._ledger.session(digest_of(secret))
        if found is not None:
            self._ledger.close_session(digest_of(secret))
            self._note(found.account.name, SignIn.OUT, address)

    def session(self, secret: str, *, touches: bool = True) -> Person | None:
        """Return whose session it is, None if it is none or has ended.

        What a page asks for by itself (`touches` is false) does not keep a session open.
        """
        digest, now = digest_of(secret), self._clock()
        found = self._ledger.session(digest)
        if found is None:
            return None
        is_over = (
            now - found.seen_at > self._rules.idle or now - found.opened_at > self._rules.longest
        )
        if is_over:
            self._ledger.close_session(digest)
            return None
        if touches and now - found.seen_at > _TOUCH_EVERY:
            self._ledger.touch_session(digest, now)
        return Person(name=found.account.name, role=UserRole(found.account.role))

    def token(self, secret: str) -> Person | None:
        """Return whose token it is, None if it is none or has expired."""
        now = self._clock()
        found = self._ledger.token(digest_of(secret))
        if found is None or now >= found.expires_at:
            return None
        if found.used_at is None or now - found.used_at > _TOUCH_EVERY:
            self._ledger.touch_token(found.token_id, now)
        return Person(name=f"token {found.name}", role=UserRole(found.role))

    def _check_throttle(self, name: str, address: str) -> None:
        since = self._clock() - THROTTLE_TIME
        of_name, of_address = self._ledger.failures(name=name, address=address, since=since)
        if of_name >= FAILURES_OF_NAME or of_address >= FAILURES_OF_ADDRESS:
            minutes = THROTTLE_TIME // timedelta(minutes=1)
            raise AccountError(f"too many failed attempts; try again in {minutes} minutes")

    def _is_code(self, account: Account, code: str) -> bool:
        is_known = bool(account.code) and same(account.code, digest_of_code(code))
        return is_known and account.code_until is not None and self._clock() < account.code_until

    def _fail(self, name: str, address: str, words: str) -> None:
        self._note(name, SignIn.FAILED, address)
        raise AccountError(words)

    def _open(self, name: str, address: str) -> str:
        secret = new_secret()
        self._ledger.open_session(name, digest_of(secret), address=address, now=self._clock())
        self._note(name, SignIn.IN, address)
        return secret

    def _note(self, name: str, outcome: SignIn, address: str) -> None:
        self._ledger.note(name[:64], outcome, address=address[:64], now=self._clock())


def tidy(ledger: UserLedger, rules: SessionRules, now: datetime) -> None:
    """Forget sessions that have ended and log-ins of long ago. Raises LedgerUnavailableError."""
    ledger.close_sessions(seen_before=now - rules.idle, opened_before=now - rules.longest)
    ledger.forget(before=now - _KEPT)


def _folded(name: str) -> str:
    """Return the name of an account as it is stored, without letters that steer a terminal."""
    kept = "".join(letter for letter in name.strip().casefold() if letter.isprintable())
    return kept[:64]


def _foreign_name(name: str, subject: str) -> str:
    """Return the name of an account of a log-in provider."""
    kept = _NOT_IN_NAMES.sub("", name.casefold())[:_LONGEST_NAME]
    return f"{kept or subject[:12]}{_FOREIGN}"
