"""``ichnode health``: whether the node lives and can work, for probes and scripts."""

import json
import socket
import sys
from pathlib import Path

from dicom_node.bootstrap.ledgers import ledger_for_reading
from dicom_node.bootstrap.roles import utc_now
from dicom_node.bootstrap.signs_of_life import (
    SEEN_WITHIN_S,
    cannot_write_its_sign,
    is_alive,
    seen_ages,
)
from dicom_node.bootstrap.status import LedgerStatus
from dicom_node.commands.screen import say
from dicom_node.commands.site import settings_of
from dicom_node.operator_error import ExitCode, OperatorError
from dicom_node.processes import Role


def run(*, config: Path | None, as_json: bool) -> int:
    """Print every reason why the node cannot do its work, and what will be one soon."""
    _, settings = settings_of(config)
    with ledger_for_reading(settings) as ledger:
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
    with ledger_for_reading(settings) as ledger:
        processes = [one for one in ledger.reports.processes() if one.host == here]
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
