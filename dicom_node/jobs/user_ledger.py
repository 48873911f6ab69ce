"""People in the ledger: accounts, sessions, tokens, and who logged in from where."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from dicom_node.errors import AccountError
from dicom_node.jobs.database import Database
from dicom_node.jobs.user_tables import SignInRow, UserRow, UserSessionRow, UserTokenRow


class SignIn(StrEnum):
    """What became of a log-in. The values are stored; never rename one."""

    IN = "in"  #: logged in
    OUT = "out"  #: logged out
    FAILED = "failed"  #: wrong name, password or code


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Somebody who may use the node; `password` is a hash, empty before the first log-in.

    `subject` tells a person of a log-in provider; such an account never has a password.
    """

    name: str
    role: str
    created_by: str
    created_at: datetime
    password_at: datetime | None
    code_until: datetime | None
    password: str = field(repr=False)
    code: str = field(repr=False)
    subject: str = ""

    @property
    def kind(self) -> str:
        """``oidc`` for an account of a log-in provider, ``local`` for the node's own."""
        return "oidc" if self.subject else "local"


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenSession:
    """A browser that somebody logged in with."""

    account: Account
    opened_at: datetime
    seen_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A secret of a program, without the secret."""

    token_id: int
    name: str
    role: str
    created_by: str
    created_at: datetime
    expires_at: datetime
    used_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SignInEntry:
    """Somebody logged in or out, or tried to."""

    sign_in_id: int
    at: datetime
    name: str
    address: str
    outcome: SignIn


def sign_in_entry(row: SignInRow) -> SignInEntry:
    """Return what a row says."""
    return SignInEntry(
        sign_in_id=row.sign_in_id,
        at=row.at,
        name=row.name,
        address=row.address,
        outcome=SignIn(row.outcome),
    )


class UserLedger:
    """Keeps accounts and what they hold. Every method raises LedgerUnavailableError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def accounts(self) -> tuple[Account, ...]:
        """Return everybody, by name."""
        with self._database.read() as session:
            rows = session.scalars(select(UserRow).order_by(UserRow.name))
            return tuple(_account(row) for row in rows)

    def account(self, name: str) -> Account | None:
        """Return one account, None if there is none of that name."""
        with self._database.read() as session:
            row = session.get(UserRow, name)
            return None if row is None else _account(row)

    def add(
        self, name: str, *, role: str, code: str, code_until: datetime, by: str, now: datetime
    ) -> None:
        """Add an account without password. Raises AccountError if the name is taken."""
        with self._database.write() as session:
            if session.get(UserRow, name) is not None:
                raise AccountError(f"there is a user {name!r} already")
            session.add(
                UserRow(
                    name=name,
                    role=role,
                    code=code,
                    code_until=code_until,
                    created_by=by,
                    created_at=now,
                )
            )

    def set_code(self, name: str, *, code: str, until: datetime) -> None:
        """Give an account a new one-time code, no password and no sessions.

        Raises AccountError if there is no such account.
        """
        with self._database.write() as session:
            row = _row(session, name)
            _check_own(row)
            row.password, row.code, row.code_until = "", code, until
            _close_sessions(session, name)

    def set_password(self, name: str, password: str, now: datetime, *, code: str = "") -> None:
        """Give an account a password and end its sessions; its one-time code is used up.

        Parameters
        ----------
        password
            Its hash.
        code
            Digest of the one-time code, if that is what allows it; it is compared once more, in
            the transaction that uses it up.

        Raises
        ------
        AccountError
            If there is no such account, or the code was used meanwhile.
        """
        with self._database.write() as session:
            row = _row(session, name)
            _check_own(row)
            if code and row.code != code:
                raise AccountError("the one-time code was used already")
            row.password, row.password_at = password, now
            row.code, row.code_until = "", None
            _close_sessions(session, name)

    def set_role(self, name: str, role: str, *, keep: str) -> None:
        """Change what somebody may do; one of role `keep` remains. Raises AccountError."""
        with self._database.write() as session:
            row = _row(session, name)
            _check_own(row)
            if row.role == keep != role:
                _check_others(session, name, keep)
            row.role = role

    def welcome(self, subject: str, name: str, *, role: str, now: datetime) -> str:
        """Add or update the account of a person of a log-in provider and return its name.

        Raises AccountError if another account has the name.
        """
        with self._database.write() as session:
            row = session.scalar(select(UserRow).where(UserRow.subject == subject))
            if row is not None:
                row.role = role
                return row.name
            if session.get(UserRow, name) is not None:
                raise AccountError(f"there is a user {name!r} already, who is somebody else")
            session.add(
                UserRow(
                    name=name,
                    role=role,
                    created_by="log-in provider",
                    created_at=now,
                    subject=subject,
                )
            )
            return name

    def shut_out(self, subject: str) -> None:
        """End the sessions of a person whom the log-in provider gives no role any more."""
        with self._database.write() as session:
            row = session.scalar(select(UserRow).where(UserRow.subject == subject))
            if row is not None:
                _close_sessions(session, row.name)

    def remove(self, name: str, *, keep: str) -> None:
        """Remove an account with its sessions and the tokens it made; one of `keep` remains.

        Raises AccountError if there is no such account, or it is the last one of that role.
        """
        with self._database.write() as session:
            row = _row(session, name)
            if row.role == keep and not row.subject:
                _check_others(session, name, keep)
            _close_sessions(session, name)
            session.execute(delete(UserTokenRow).where(UserTokenRow.created_by == name))
            session.delete(row)

    def open_session(self, name: str, digest: str, *, address: str, now: datetime) -> None:
        """Note that somebody logged in. Raises AccountError if the account is gone."""
        with self._database.write() as session:
            _row(session, name)
            session.add(
                UserSessionRow(
                    digest=digest, name=name, address=address, opened_at=now, seen_at=now
                )
            )

    def session(self, digest: str) -> OpenSession | None:
        """Return a session by the digest of its secret."""
        with self._database.read() as session:
            row = session.get(UserSessionRow, digest)
            if row is None:
                return None
            account = _account(_row(session, row.name))
            return OpenSession(account=account, opened_at=row.opened_at, seen_at=row.seen_at)

    def touch_session(self, digest: str, now: datetime) -> None:
        """Note that a session is used."""
        with self._database.write() as session:
            row = session.get(UserSessionRow, digest)
            if row is not None:
                row.seen_at = now

    def close_session(self, digest: str) -> None:
        """End a session."""
        with self._database.write() as session:
            session.execute(delete(UserSessionRow).where(UserSessionRow.digest == digest))

    def close_sessions(self, *, seen_before: datetime, opened_before: datetime) -> None:
        """End every session that is too old."""
        with self._database.write() as session:
            session.execute(
                delete(UserSessionRow).where(
                    (UserSessionRow.seen_at < seen_before)
                    | (UserSessionRow.opened_at < opened_before)
                )
            )

    def tokens(self) -> tuple[Token, ...]:
        """Return every token, by name."""
        with self._database.read() as session:
            rows = session.scalars(select(UserTokenRow).order_by(UserTokenRow.name))
            return tuple(_token(row) for row in rows)

    def add_token(
        self, name: str, *, role: str, digest: str, expires_at: datetime, by: str, now: datetime
    ) -> None:
        """Keep a token. Raises AccountError if the name is taken."""
        with self._database.write() as session:
            taken = select(UserTokenRow.token_id).where(UserTokenRow.name == name)
            if session.scalar(taken) is not None:
                raise AccountError(f"there is a token {name!r} already")
            session.add(
                UserTokenRow(
                    name=name,
                    role=role,
                    digest=digest,
                    expires_at=expires_at,
                    created_by=by,
                    created_at=now,
                )
            )

    def token(self, digest: str) -> Token | None:
        """Return a token by the digest of its secret."""
        with self._database.read() as session:
            row = session.scalar(select(UserTokenRow).where(UserTokenRow.digest == digest))
            return None if row is None else _token(row)

    def touch_token(self, token_id: int, now: datetime) -> None:
        """Note that a token is used."""
        with self._database.write() as session:
            row = session.get(UserTokenRow, token_id)
            if row is not None:
                row.used_at = now

    def remove_token(self, name: str) -> None:
        """Remove a token. Raises AccountError if there is none of that name."""
        with self._database.write() as session:
            row = session.scalar(select(UserTokenRow).where(UserTokenRow.name == name))
            if row is None:
                raise AccountError(f"there is no token {name!r}")
            session.delete(row)

    def note(self, name: str, outcome: SignIn, *, address: str, now: datetime) -> None:
        """Write down that somebody logged in or out, or tried to."""
        with self._database.write() as session:
            session.add(SignInRow(at=now, name=name, address=address, outcome=outcome.value))

    def failures(self, *, name: str, address: str, since: datetime) -> tuple[int, int]:
        """Return how often a log-in failed since then: of that name from there, and from there."""
        failed = select(func.count()).where(
            SignInRow.at >= since,
            SignInRow.outcome == SignIn.FAILED.value,
            SignInRow.address == address,
        )
        with self._database.read() as session:
            by_name = session.scalar(failed.where(SignInRow.name == name)) or 0
            return by_name, session.scalar(failed) or 0

    def unaudited(self, *, limit: int = 500) -> tuple[SignInEntry, ...]:
        """Return log-ins that are not in the audit trail yet, oldest first."""
        with self._database.read() as session:
            rows = session.scalars(
                select(SignInRow)
                .where(SignInRow.audited.is_(False))
                .order_by(SignInRow.sign_in_id)
                .limit(limit)
            )
            return tuple(map(sign_in_entry, rows))

    def mark_audited(self, sign_in_ids: Sequence[int]) -> None:
        """Note that these log-ins are in the audit trail."""
        with self._database.write() as session:
            for sign_in_id in sign_in_ids:
                session.get_one(SignInRow, sign_in_id).audited = True

    def forget(self, *, before: datetime) -> None:
        """Delete what was written down of log-ins before then."""
        with self._database.write() as session:
            session.execute(delete(SignInRow).where(SignInRow.at < before))


def _row(session: Session, name: str) -> UserRow:
    row = session.get(UserRow, name)
    if row is None:
        raise AccountError(f"there is no user {name!r}")
    return row


def _check_own(row: UserRow) -> None:
    if row.subject:
        raise AccountError(f"{row.name!r} comes from the log-in provider, which says who may what")


def _check_others(session: Session, name: str, role: str) -> None:
    """Somebody must be left who gets in without a log-in provider."""
    others = select(func.count()).where(
        UserRow.role == role, UserRow.name != name, UserRow.subject == ""
    )
    if not session.scalar(others):
        raise AccountError(f"{name!r} is the last {role}; make another one first")


def _close_sessions(session: Session, name: str) -> None:
    session.execute(delete(UserSessionRow).where(UserSessionRow.name == name))


def _account(row: UserRow) -> Account:
    return Account(
        name=row.name,
        role=row.role,
        created_by=row.created_by,
        created_at=row.created_at,
        password_at=row.password_at,
        code_until=row.code_until,
        password=row.password,
        code=row.code,
        subject=row.subject,
    )


def _token(row: UserTokenRow) -> Token:
    return Token(
        token_id=row.token_id,
        name=row.name,
        role=row.role,
        created_by=row.created_by,
        created_at=row.created_at,
        expires_at=row.expires_at,
        used_at=row.used_at,
    )
