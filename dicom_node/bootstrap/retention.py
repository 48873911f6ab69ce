"""Retention, put together from the settings."""

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from dicom_node.bootstrap.layout import DataLayout
from dicom_node.bootstrap.parts import destination_names, spool_limits
from dicom_node.delivery.custody_scan import LAST_SCAN, CustodyScan, ScanReport, scan_of
from dicom_node.delivery.janitor import STANDING, Janitor, Standing, standing_of, words_of
from dicom_node.delivery.purger import Folders, Purger
from dicom_node.intake.spool import Spool
from dicom_node.jobs.documents import Documents
from dicom_node.jobs.holdings import Holdings
from dicom_node.jobs.ledger import Ledger
from dicom_node.jobs.purge_ledger import PurgeLedger
from dicom_node.jobs.retention import AgeRule, RetentionRules
from dicom_node.settings.schema import Settings

_MEGABYTE = 2**20


def retention_rules(settings: Settings) -> RetentionRules:
    """Return how long the site keeps what."""
    wanted, follow_up = settings.retention, settings.follow_up
    days = {
        AgeRule.ANALYSED: wanted.analysed_days,
        AgeRule.REJECTED: wanted.rejected_days,
        AgeRule.SET_ASIDE: wanted.set_aside_days,
        AgeRule.RESULTS: wanted.results_days,
        AgeRule.SUMMARIES: wanted.summaries_days,
    }
    promised = wanted.keep_committed_days
    return RetentionRules(
        ages={rule: timedelta(days=number) for rule, number in days.items() if number},
        follow_up_window=timedelta(hours=follow_up.window_h if follow_up.enabled else 0.0),
        keep_committed=timedelta(days=promised) if promised else None,
        emergency_free_bytes=wanted.emergency_free_mb * _MEGABYTE,
        has_destinations=bool(destination_names(settings)),
    )


def purger_of(settings: Settings, ledger: Ledger, *, clock: Callable[[], datetime]) -> Purger:
    """Return what takes things out of custody."""
    layout = DataLayout(root=settings.node.data_dir)
    return Purger(
        ledger=PurgeLedger(ledger.database),
        folders=Folders(spool=layout.spool, outbox=layout.outbox, summaries=layout.summaries),
        clock=clock,
    )


class RetentionOffice:
    """What the office does about retention again and again.

    Parameters
    ----------
    settings, ledger, clock
        Of the node.
    """

    def __init__(
        self, settings: Settings, *, ledger: Ledger, clock: Callable[[], datetime]
    ) -> None:
        layout = DataLayout(root=settings.node.data_dir)
        self._documents = Documents(ledger.database)
        self._clock = clock
        self._janitor = Janitor(
            purger=purger_of(settings, ledger, clock=clock),
            rules=retention_rules(settings) if settings.retention.enabled else None,
            documents=self._documents,
            clock=clock,
            monotonic=time.monotonic,
        )
        self._scan = CustodyScan(
            known=ledger.arrivals,
            held=Holdings(ledger.database),
            spool=Spool(layout.spool, limits=spool_limits(settings)),
            outbox=layout.outbox,
            clock=clock,
        )
        if not settings.retention.enabled and self._documents.read(STANDING) is not None:
            self._documents.write(STANDING, None)

    def tick(self) -> None:
        """Purge what is due, and compare names with the ledger once a day. Raises LedgerError."""
        self._janitor.tick()
        last = scan_of(self._documents.read(LAST_SCAN))
        if last is None or not _is_of_today(last, self._clock()):
            self._documents.write(LAST_SCAN, self._scan.scan().as_dict())


def custody_alarms(document: Callable[[str], Any | None]) -> tuple[str, ...]:
    """Return what an operator must know of room and custody; `document` reads what was told."""
    scan = scan_of(document(LAST_SCAN))
    return (*words_of(standing_of(document(STANDING))), *(scan.words if scan else ()))


def last_standing(ledger: Ledger) -> Standing | None:
    """Return how retention stood when the office last looked. Raises LedgerError."""
    return standing_of(Documents(ledger.database).read(STANDING))


def last_scan(ledger: Ledger) -> ScanReport | None:
    """Return what the last scan found. Raises LedgerError."""
    return scan_of(Documents(ledger.database).read(LAST_SCAN))


def note_scan(ledger: Ledger, scan: ScanReport) -> None:
    """Keep what a scan found as the last one. Raises LedgerError."""
    Documents(ledger.database).write(LAST_SCAN, scan.as_dict())


def _is_of_today(scan: ScanReport, now: datetime) -> bool:
    """Return whether a scan is younger than a day; one of the future is of a clock set back."""
    return timedelta(0) <= now - datetime.fromisoformat(scan.at) < timedelta(days=1)
