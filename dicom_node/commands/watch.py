"""``ichnode watch``: predictions against outcomes, drift, and what alarms."""

import json
import sys
from pathlib import Path

from dicom_node.bootstrap.ledgers import ledger_for_reading
from dicom_node.bootstrap.watch import NodeWatch
from dicom_node.commands.screen import say, show_table
from dicom_node.commands.site import settings_of
from dicom_node.operator_error import ExitCode, OperatorError
from dicom_node.watch.figure import draw_watch
from dicom_node.watch.record import watch_record
from dicom_node.watch.report import WatchReport
from dicom_node.watch.view import NOTHING, alarm_sentences, sections_of


def run(*, config: Path | None, as_json: bool, plot: Path | None) -> int:
    """Print what the watch says; the exit code says whether an alarm stands."""
    _, settings = settings_of(config)
    with ledger_for_reading(settings) as ledger:
        watched = NodeWatch(ledger.database, settings).look()
    if plot is not None:
        try:
            draw_watch(plot, watched)
        except OSError as error:
            raise OperatorError(f"cannot write {plot}: {error.strerror or error}") from error
    if as_json:
        sys.stdout.write(json.dumps(watch_record(watched.report), indent=2) + "\n")
    else:
        _show(watched.report)
        if plot is not None:
            say(f"drawn: {plot}")
    return ExitCode.ALARM if watched.report.alarms else ExitCode.OK


def _show(report: WatchReport) -> None:
    """Print alarms and tables."""
    sections = sections_of(report)
    if not sections:
        say(NOTHING)
        return
    for sentence in alarm_sentences(report):
        say(f"ALARM: {sentence}", style="bold red")
    if not report.alarms:
        say("No alarm stands.", style="green")
    for section in sections:
        styles = ["red" if row in section.marked else "" for row in range(len(section.rows))]
        say("")
        show_table(section.headers, section.rows, title=section.title, styles=styles)
        for note in section.notes:
            say(note)
