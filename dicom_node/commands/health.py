"""``ichnode health``: whether the node lives and can work, for probes and scripts."""

import json
import sys
from pathlib import Path

from dicom_node.bootstrap.ledgers import ledger_for_reading
from dicom_node.bootstrap.roles import utc_now
from dicom_node.bootstrap.status import LedgerStatus
from dicom_node.commands.screen import say
from dicom_node.commands.site import settings_of
from dicom_node.operator_error import ExitCode


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
