"""``ichnode alerts``: what stands, and whether the channels work."""

import json
import sys
from pathlib import Path

from dicom_node.alerts.alert import Alert, AlertNotSentError, Message, Notice, Turn
from dicom_node.alerts.shelf import LedgerShelf
from dicom_node.bootstrap.alerts import channels
from dicom_node.bootstrap.ledgers import ledger_for_reading
from dicom_node.bootstrap.roles import utc_now
from dicom_node.commands.screen import say, show_table
from dicom_node.commands.site import settings_of
from dicom_node.jobs.documents import Documents
from dicom_node.operator_error import ExitCode, OperatorError
from pipeline import __version__


def run_list(*, config: Path | None, as_json: bool) -> int:
    """Print what stood when the office last looked."""
    _, settings = settings_of(config)
    with ledger_for_reading(settings) as ledger:
        standing = LedgerShelf(Documents(ledger.database)).read().standing
    rows = [
        {
            "key": one.alert.key,
            "since": one.since.isoformat(timespec="seconds"),
            "sentence": one.alert.sentence,
            "told": sorted(one.told),
        }
        for one in standing
    ]
    if as_json:
        sys.stdout.write(json.dumps(rows, indent=2) + "\n")
    elif rows:
        cells = [(str(row["since"]), str(row["sentence"]), ", ".join(row["told"])) for row in rows]
        show_table(("since", "alert", "told"), cells)
    else:
        say("no alert stands")
    return ExitCode.ALARM if rows else ExitCode.OK


def run_test(*, config: Path | None) -> int:
    """Send a message over every channel and print what became of it."""
    _, settings = settings_of(config)
    ways = channels(settings)
    if not ways:
        raise OperatorError("no channel is set: alerts.webhook_url, alerts.mail_to")
    now = utc_now()
    alert = Alert(key="test", sentence="This is a test; nothing is wrong")
    message = Message(
        node=settings.node.ae_title,
        version=__version__,
        at=now,
        notices=(Notice(alert=alert, turn=Turn.RAISED, since=now),),
    )
    failures = 0
    for channel in ways:
        try:
            channel.send(message)
        except AlertNotSentError as error:
            failures += 1
            say(f"{channel.name}: {error}", style="red")
        else:
            say(f"{channel.name}: sent")
    return ExitCode.FAILED if failures else ExitCode.OK
