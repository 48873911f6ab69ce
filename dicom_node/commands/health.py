"""``ichnode health``: whether the node lives and can work, for probes and scripts."""

import json
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dicom_node.bootstrap.ledgers import ledger_for_reading, place_of
from dicom_node.bootstrap.roles import utc_now
from dicom_node.bootstrap.signs_of_life import (
    SEEN_WITHIN_S,
    cannot_write_its_sign,
    is_alive,
    seen_ages,
    waiting_roles,
)
from dicom_node.bootstrap.status import LedgerStatus
from dicom_node.commands.screen import say
from dicom_node.commands.site import settings_of
from dicom_node.errors import LedgerUnavailableError
from dicom_node.jobs.database import engine_of
from dicom_node.jobs.ledger import Ledger
from dicom_node.operator_error import ExitCode, OperatorError
from dicom_node.processes import Role
from dicom_node.settings.schema import Settings


def run(*, config: Path | None, as_json: bool) -> int:
    """Print every reason why the node cannot do its work, and what will be one soon."""
    _, settings = settings_of(config)
    with _ledger_or_who_waits(settings) as ledger:
        health = LedgerStatus(ledger.reports, settings=settings, clock=utc_now).health()
    if as_json:
        sys.stdout.write(json.dumps(health.as_dict(), indent=2) + "\n")
    else:
        say("ready" if health.healthy else "not ready", style="" if health.healthy else "red")
        for reason in health.faults:
            say(reason, style="red")
        for warning in health.warnings:
            say(warning, style="yellow")
    return ExitCode.OK if health.healthy else ExitCode.FAILED


def run_only(role: str, *, config: Path | None, host: str | None = None) -> int:
    """Tell whether a process of one role was seen lately on a host, by default on this one."""
    if role not in set(Role):
        raise OperatorError(
            f"--only takes {', '.join(Role)}; got {role!r}", exit_code=ExitCode.USAGE
        )
    _, settings = settings_of(config)
    here = host or socket.gethostname()
    try:
        with ledger_for_reading(settings) as ledger:
            processes = [one for one in ledger.reports.processes() if one.host == here]
    except OperatorError as error:
        if not _is_away(settings, error) or role not in waiting_roles(settings, host=here):
            raise
        say(f"the {role} on {here} lives and waits: {error}", style="yellow")
        return ExitCode.OK
    if is_alive(Role(role), seen_ages(processes, utc_now())):
        say(f"the {role} on {here} lives")
        return ExitCode.OK
    if cannot_write_its_sign(settings, Role(role)):
        say(
            f"the {role} on {here} lives, but cannot write its sign of life: the disk is full",
            style="yellow",
        )
        return ExitCode.OK
    say(f"the {role} on {here} has not been seen for {SEEN_WITHIN_S:.0f} s", style="red")
    return ExitCode.FAILED


@contextmanager
def _ledger_or_who_waits(settings: Settings) -> Iterator[Ledger]:
    """Open the ledger; if its server is away, say which processes are there and wait for it."""
    try:
        with ledger_for_reading(settings) as ledger:
            yield ledger
    except OperatorError as error:
        there = waiting_roles(settings) if _is_away(settings, error) else ()
        if not there:
            raise
        raise OperatorError(f"{error}; waiting for it: {', '.join(there)}") from error


def _is_away(settings: Settings, error: OperatorError) -> bool:
    is_unavailable = isinstance(error.__cause__, LedgerUnavailableError)
    return is_unavailable and engine_of(place_of(settings)).is_away()
