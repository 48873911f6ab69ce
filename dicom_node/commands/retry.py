"""``ichnode retry``: failed jobs, deliveries and searches for earlier scans start again."""

from pathlib import Path

from dicom_node.bootstrap.audit import note_intervention
from dicom_node.bootstrap.ledgers import ledger_for_reading
from dicom_node.bootstrap.roles import utc_now
from dicom_node.commands.screen import say
from dicom_node.commands.site import settings_of
from dicom_node.errors import UnknownEntryError
from dicom_node.jobs.ledger import Ledger
from dicom_node.operator_error import ExitCode, OperatorError


def run(identifier: str | None, *, destination: str | None, config: Path | None) -> int:
    """Start again what failed, or what waits for a destination."""
    _, settings = settings_of(config)
    with ledger_for_reading(settings) as ledger:
        if destination is None:
            jobs = _retry_jobs(ledger, identifier)
            told = f"{jobs} failed {'job starts' if jobs == 1 else 'jobs start'} again"
            say(told)
        else:
            _retry_peer(ledger, destination)
            told = f"what waits for {destination} is tried again"
    note_intervention(settings, told, utc_now())
    return ExitCode.OK


def _retry_peer(ledger: Ledger, name: str) -> None:
    """Send again what waits for a peer, and ask it again for earlier scans."""
    words = []
    faults = []
    ledger.destinations.probe_now(name, utc_now())
    for retry, said in (
        (ledger.deliveries.retry, f"objects are sent to {name} again"),
        (ledger.priors.retry, f"searches at {name} start again"),
    ):
        try:
            words.append(f"{retry(name, utc_now())} {said}")
        except UnknownEntryError as error:
            faults.append(str(error))
    if not words:
        raise OperatorError(faults[0])
    for line in words:
        say(line)


def _retry_jobs(ledger: Ledger, identifier: str | None) -> int:
    """Start failed jobs again: all, or those of one series or number; return how many."""
    try:
        failed = ledger.jobs.failed(identifier)
    except UnknownEntryError as error:
        raise OperatorError(str(error)) from error
    for job_id in failed:
        ledger.jobs.retry(job_id, utc_now())
    return len(failed)
