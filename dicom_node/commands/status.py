"""``ichnode status``: every series, its job and its deliveries."""

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from dicom_node.bootstrap.ledgers import ledger_for_reading
from dicom_node.bootstrap.roles import utc_now
from dicom_node.bootstrap.status import LedgerStatus
from dicom_node.commands.screen import console, say, show_table
from dicom_node.commands.site import settings_of
from dicom_node.operator_error import ExitCode
from dicom_node.status_view import SeriesRow

_REPEAT_S = 2.0

_STYLE = {"delivered": "green", "failed": "red", "rejected": "yellow"}

_HEADERS = (
    *("series", "images", "state", "reason", "opinion", "follow-up"),
    *("deliveries", "door to result"),
)


def run(*, config: Path | None, as_json: bool, watch: bool, limit: int) -> int:
    """Print the state of the node, once or again and again."""
    _, settings = settings_of(config)
    with ledger_for_reading(settings) as ledger:
        source = LedgerStatus(ledger.reports, settings=settings, clock=utc_now, limit=limit)
        while True:
            if watch and not as_json:
                console().clear()
            show(source, as_json=as_json)
            if not watch:
                return ExitCode.OK
            time.sleep(_REPEAT_S)


def show(source: LedgerStatus, *, as_json: bool) -> None:
    """Print every series and whether the node works."""
    rows, health = source.rows(), source.health()
    if as_json:
        document = {"health": health.as_dict(), "series": [row.as_dict() for row in rows]}
        sys.stdout.write(json.dumps(document, indent=2) + "\n")
        return
    if rows:
        show_table(
            _HEADERS,
            [_cells(row) for row in rows],
            styles=[_STYLE.get(row.state, "") for row in rows],
        )
    else:
        say("no series received yet")
    for fault in health.faults:
        say(fault, style="red")
    for warning in health.warnings:
        say(warning, style="yellow")


def _cells(row: SeriesRow) -> Sequence[str]:
    return (
        "\n".join((row.series_instance_uid, *row.custody)),
        str(row.images),
        row.state,
        row.reason,
        row.opinion,
        "\n".join(row.follow_up),
        ", ".join(row.delivered),
        "" if row.door_to_result_s is None else f"{row.door_to_result_s:.1f} s",
    )
