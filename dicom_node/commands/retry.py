"""``ichnode retry``: failed jobs, deliveries and searches for earlier scans start again."""

from pathlib import Path

from dicom_node.bootstrap.ledgers import ledger_for_reading
from dicom_node.bootstrap.roles import utc_now
from dicom_node.commands.screen import say
from dicom_node.commands.site import settings_of
from dicom_node.errors import UnknownEntryError
from dicom_node.jobs.ledger import Ledger
from dicom_node.jobs.state import JobState
from dicom_node.operator_error import ExitCode, OperatorError

#: Series looked through; more than any node keeps open.
_LIMIT = 100_000


def run(identifier: str | None, *, destination: str | None, config: Path | None) -> int:
    """Start again what failed, or what waits for a destination."""
    _, settings = settings_of(config)
    with ledger_for_reading(settings) as ledger:
        if destination is None:
            jobs = _retry_jobs(ledger, identifier)
            say(f"{jobs} failed {'job starts' if jobs == 1 else 'jobs start'} again")
        else:
            _retry_peer(ledger, destination)
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
    known = False
    retried = 0
    for series in ledger.reports.overview(limit=_LIMIT).series:
        for job in (series.job, series.comparison):
            names = {series.series_instance_uid, str(job.job_id) if job else ""}
            if identifier is not None and identifier not in names:
                continue
            known = True
            if job is not None and job.state is JobState.FAILED:
                ledger.jobs.retry(job.job_id, utc_now())
                retried += 1
    if identifier is not None and not known:
        raise OperatorError(f"the ledger knows no series or job {identifier!r}")
    return retried
