"""The timed work of the node: series become complete, leases run out."""

import logging
import threading
from collections.abc import Callable
from datetime import datetime, timedelta

from dicom_node.intake.assembly import AssemblyRules
from dicom_node.intake.selection import SelectionRules
from dicom_node.intake.urgency import NO_URGENCY, UrgencyRules
from dicom_node.jobs.future_times import FutureTimes, LongestWaits
from dicom_node.jobs.ledger import Ledger
from dicom_node.jobs.wake import SILENCE, Bells, Topic
from dicom_node.jobs.worker import JobRules

LOGGER = logging.getLogger(__name__)

#: A process that did not beat for so long is dead; it beats every 5 s.
SILENT_S = 30.0

_DEFAULT_WAITS = LongestWaits()

#: Clocks are not more exact than this; a shorter pause would only turn round.
_LEAST_PAUSE_S = 0.005


class AssemblyOffice:
    """Looks at the series whose time has come.

    Parameters
    ----------
    ledger
        Holds series and deadlines.
    assembly, selection
        Rules of the site.
    clock
        Returns the present as an aware time.
    urgent
        Which studies go before others.
    bells
        Rung when there may be new jobs.
    ahead_s
        What is due within so many seconds is waited for, to be punctual; as long as the pause
        between two ticks.
    """

    def __init__(
        self,
        *,
        ledger: Ledger,
        assembly: AssemblyRules,
        selection: SelectionRules,
        clock: Callable[[], datetime],
        urgent: UrgencyRules = NO_URGENCY,
        bells: Bells = SILENCE,
        ahead_s: float = 0.0,
    ) -> None:
        self._bells = bells
        self._ahead = timedelta(seconds=ahead_s)
        self._pause = threading.Event()
        self._series = ledger.series
        self._assembly = assembly
        self._selection = selection
        self._urgent = urgent
        self._clock = clock

    def tick(self) -> None:
        """Judge due series, then compare the series of due studies. Raises LedgerError.

        What becomes due before the next tick is waited for: each tick ends in time for that.
        """
        began = self._clock()
        self._judge()
        while self._ahead:
            due_at = self._series.next_due(self._assembly, self._clock())
            if due_at is None or due_at > began + self._ahead:
                return
            self._pause.wait(max((due_at - self._clock()).total_seconds(), _LEAST_PAUSE_S))
            self._judge()

    def _judge(self) -> None:
        for series_uid in self._series.due(self._assembly, self._clock()):
            self._series.assess(series_uid, self._assembly, self._clock())
        studies = self._series.due_studies(self._assembly, self._clock())
        for study_uid in studies:
            self._series.decide(study_uid, self._selection, self._clock(), urgent=self._urgent)
        if studies:
            self._bells.ring(Topic.JOBS)


class Sweeper:
    """Takes from the dead what they held.

    Parameters
    ----------
    ledger
        Holds claims and processes.
    job_rules
        How often a job is tried.
    clock
        Returns the present as an aware time.
    silent_s
        After this long without a heart-beat a process counts as dead.
    waits
        How far ahead a time can lie that somebody waits for.
    """

    def __init__(
        self,
        *,
        ledger: Ledger,
        job_rules: JobRules,
        clock: Callable[[], datetime],
        silent_s: float = SILENT_S,
        waits: LongestWaits = _DEFAULT_WAITS,
    ) -> None:
        self._ledger = ledger
        self._future = FutureTimes(ledger.database, waits)
        self._job_rules = job_rules
        self._clock = clock
        self._silent_s = silent_s

    def tick(self) -> None:
        """Release lost jobs, deliveries and associations. Raises LedgerError.

        First of all nothing may wait for a clock that was set back to catch up.
        """
        self._future.bring_back(self._clock())
        jobs = self._ledger.jobs.sweep(self._job_rules.retry, self._clock())
        deliveries = self._ledger.deliveries.sweep(self._clock())
        self._ledger.presence.sweep(self._clock(), silent_s=self._silent_s)
        if jobs or deliveries:
            LOGGER.warning("Released %s lost jobs and %s lost deliveries", jobs, deliveries)
