"""Tables of the ledger around people: accounts, sessions, tokens, who logged in.

Nothing that opens a door is stored: passwords as argon2 hashes, all other secrets as digests.
"""

from datetime import datetime

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from dicom_node.jobs.column_types import LONG_TEXT, short_text
from dicom_node.jobs.tables import Table


class UserRow(Table):
    """Somebody who may use the node.

    `password` is empty until the first log-in; `code` is the digest of the one-time code that
    sets it, valid until `code_until`. `subject` is the digest of who it is for the provider that
    the account comes from, empty for accounts of the node's own.
    """

    __tablename__ = "users"

    name: Mapped[str] = mapped_column(short_text(64), primary_key=True)
    role: Mapped[str] = mapped_column(short_text(16))
    password: Mapped[str] = mapped_column(LONG_TEXT, default="")
    code: Mapped[str] = mapped_column(short_text(64), default="")
    code_until: Mapped[datetime | None]
    created_by: Mapped[str] = mapped_column(short_text(64))
    created_at: Mapped[datetime]
    password_at: Mapped[datetime | None]
    subject: Mapped[str] = mapped_column(short_text(64), default="", server_default="")


class UserSessionRow(Table):
    """A browser that somebody logged in with."""

    __tablename__ = "user_sessions"

    digest: Mapped[str] = mapped_column(short_text(64), primary_key=True)
    name: Mapped[str] = mapped_column(ForeignKey("users.name"), index=True)
    address: Mapped[str] = mapped_column(short_text(64))
    opened_at: Mapped[datetime]
    seen_at: Mapped[datetime]


class UserTokenRow(Table):
    """A secret that a program shows instead of a session."""

    __tablename__ = "user_tokens"

    token_id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(short_text(64), unique=True)
    role: Mapped[str] = mapped_column(short_text(16))
    digest: Mapped[str] = mapped_column(short_text(64), unique=True)
    created_by: Mapped[str] = mapped_column(short_text(64))
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]


class SignInRow(Table):
    """Somebody logged in or out, or tried to."""

    __tablename__ = "sign_ins"

    sign_in_id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime]
    name: Mapped[str] = mapped_column(short_text(64))
    address: Mapped[str] = mapped_column(short_text(64))
    outcome: Mapped[str] = mapped_column(short_text(16))
    audited: Mapped[bool] = mapped_column(default=False, server_default="0")

    __table_args__ = (Index("sign_ins_recent", "at"),)
