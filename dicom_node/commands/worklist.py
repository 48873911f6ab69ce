"""``ichnode worklist``: the workitems that the node performs, and the servers they come from."""

import json
import sys
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from dicom_node.bootstrap.ledgers import ledger_for_reading
from dicom_node.bootstrap.worklists import worklist_alarms
from dicom_node.commands.screen import say, show_table
from dicom_node.commands.site import settings_of
from dicom_node.jobs.state import WorkitemState
from dicom_node.jobs.worklist_ledger import WorkitemStatus, WorklistStatus
from dicom_node.operator_error import ExitCode

_HEADERS = ("workitem", "worklist", "state", "progress", "studies", "claimed", "ended", "reason")

_STYLE = {
    WorkitemState.COMPLETED: "green",
    WorkitemState.CANCELED: "yellow",
    WorkitemState.LOST: "red",
}


def run(*, as_json: bool, limit: int, config: Path | None) -> int:
    """Print workitems, newest first, and what is wrong with their servers."""
    _, settings = settings_of(config)
    with ledger_for_reading(settings) as ledger:
        found = ledger.worklists.overview(limit=limit)
        servers = ledger.worklists.worklists()
    if as_json:
        document = {
            "worklists": [_facts(one) for one in servers],
            "workitems": [_facts(one) for one in found],
        }
        sys.stdout.write(json.dumps(document, indent=2) + "\n")
        return ExitCode.OK
    if found:
        show_table(
            _HEADERS,
            [_cells(one) for one in found],
            styles=[_STYLE.get(one.state, "") for one in found],
        )
    else:
        say("no workitem claimed yet" if settings.worklists else "no worklist in the settings")
    for sentence in worklist_alarms(settings, servers):
        say(sentence, style="yellow")
    return ExitCode.OK


def _facts(one: WorkitemStatus | WorklistStatus) -> dict[str, Any]:
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in asdict(one).items()
    }


def _cells(one: WorkitemStatus) -> tuple[str, ...]:
    return (
        one.workitem_uid + ("\nurgent" if one.urgent else ""),
        one.worklist,
        one.state.value,
        one.progress if one.finished_at is None else "",
        "\n".join(one.studies),
        _moment(one.claimed_at),
        _moment(one.finished_at),
        one.reason,
    )


def _moment(at: datetime | None) -> str:
    return "" if at is None else at.astimezone().isoformat(sep=" ", timespec="seconds")
