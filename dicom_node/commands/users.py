"""``ichnode users``: accounts and tokens from the command line of the machine."""

import getpass
import json
import os
import secrets
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from dicom_node.bootstrap.audit import note_account
from dicom_node.bootstrap.layout import DataLayout
from dicom_node.bootstrap.ledgers import open_beside_a_node, place_of
from dicom_node.bootstrap.roles import utc_now
from dicom_node.commands.screen import say, show_table
from dicom_node.commands.site import settings_of
from dicom_node.errors import AccountError
from dicom_node.jobs.process_identity import ProcessIdentity
from dicom_node.operator_error import ExitCode, OperatorError
from dicom_node.users.accounts import CODE_VALID, Accounts
from dicom_node.users.role import UserRole


def run_list(*, as_json: bool, config: Path | None) -> int:
    """Show everybody and every token."""
    with _accounts(config) as (accounts, _):
        people = [
            {
                "name": one.name,
                "role": one.role,
                "created_at": _text(one.created_at),
                "created_by": one.created_by,
                "password_set_at": _text(one.password_at) if one.password else "",
                "code_until": _text(one.code_until),
            }
            for one in accounts.all()
        ]
        tokens = [
            {
                "name": one.name,
                "role": one.role,
                "created_at": _text(one.created_at),
                "created_by": one.created_by,
                "expires_at": _text(one.expires_at),
                "used_at": _text(one.used_at),
            }
            for one in accounts.tokens()
        ]
    if as_json:
        sys.stdout.write(json.dumps({"users": people, "tokens": tokens}, indent=2) + "\n")
        return ExitCode.OK
    headers = ("user", "role", "made", "by", "password since", "code until")
    show_table(headers, [tuple(one.values()) for one in people])
    if tokens:
        say("")
        headers = ("token", "role", "made", "by", "until", "last used")
        show_table(headers, [tuple(one.values()) for one in tokens])
    return ExitCode.OK


def run_add(name: str, *, role: str, config: Path | None) -> int:
    """Add a user."""
    with _accounts(config) as (accounts, note):
        code = accounts.add(name, _role(role), by=_who())
        note(name, f"made with role {role}")
    _tell_code(name, code)
    return ExitCode.OK


def run_code(name: str, *, config: Path | None) -> int:
    """Give a user a new one-time code."""
    with _accounts(config) as (accounts, note):
        code = accounts.new_code(name)
        note(name, "password taken, one-time code given")
    _tell_code(name, code)
    return ExitCode.OK


def run_role(name: str, role: str, *, config: Path | None) -> int:
    """Change what a user may do."""
    with _accounts(config) as (accounts, note):
        accounts.set_role(name, _role(role))
        note(name, f"role {role}")
    say(f"{name} is {role} now")
    return ExitCode.OK


def run_remove(name: str, *, config: Path | None) -> int:
    """Remove a user."""
    with _accounts(config) as (accounts, note):
        accounts.remove(name)
        note(name, "removed")
    say(f"{name} is removed")
    return ExitCode.OK


def run_add_token(name: str, *, role: str, days: int, config: Path | None) -> int:
    """Make a token."""
    with _accounts(config) as (accounts, note):
        token = accounts.add_token(name, _role(role), days=days, by=_who())
        note(name, f"token made with role {role}")
    say(token)
    return ExitCode.OK


def run_remove_token(name: str, *, config: Path | None) -> int:
    """Remove a token."""
    with _accounts(config) as (accounts, note):
        accounts.remove_token(name)
        note(name, "token removed")
    say(f"token {name} is removed")
    return ExitCode.OK


@contextmanager
def _accounts(config: Path | None) -> Iterator[tuple[Accounts, Callable[[str, str], None]]]:
    """Open the accounts, and the audit trail for them; also before the node was ever started."""
    _, settings = settings_of(config)
    layout = DataLayout(root=settings.node.data_dir)
    identity = ProcessIdentity(
        name="command", host=socket.gethostname(), pid=os.getpid(), token=secrets.token_hex(8)
    )
    try:
        layout.prepare()
    except OSError as error:
        raise OperatorError(f"cannot use the data directory {layout.root}: {error}") from error
    ledger = open_beside_a_node(place_of(settings), process=identity)
    try:
        yield (
            Accounts(ledger.users, clock=utc_now),
            lambda whose, what: note_account(settings, whose, what, utc_now()),
        )
    except AccountError as error:
        raise OperatorError(str(error)) from error
    finally:
        ledger.close()


def _role(text: str) -> UserRole:
    try:
        return UserRole(text)
    except ValueError:
        raise OperatorError(
            f"a role is {', '.join(UserRole)}; got {text!r}", exit_code=ExitCode.USAGE
        ) from None


def _who() -> str:
    """Return who sits at this machine, as the ledger notes it."""
    try:
        return f"{getpass.getuser()} (command line)"[:64]
    except (KeyError, OSError):  # a container's user id without a name
        return f"{os.getuid()} (command line)"


def _tell_code(name: str, code: str) -> None:
    hours = CODE_VALID.total_seconds() / 3600
    say(f"One-time code for {name}: {code}")
    say(f"It sets the password at the first log-in, within {hours:.0f} hours.")


def _text(moment: datetime | None) -> str:
    return moment.astimezone().isoformat(sep=" ", timespec="seconds") if moment else ""
