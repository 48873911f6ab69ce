"""What is done again and again, each at its own pace."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from apscheduler.events import (  # type: ignore[import-untyped] # has no types
    EVENT_JOB_ERROR,
    JobExecutionEvent,
)
from apscheduler.schedulers.background import (  # type: ignore[import-untyped] # has no types
    BackgroundScheduler,
)

from dicom_node.errors import LedgerUnavailableError, stack_of

LOGGER = logging.getLogger(__name__)

#: The scheduler's own log quotes the messages of errors; ours names type and place.
_SCHEDULER_LOG = "apscheduler"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """One thing that is done every so often.

    Attributes
    ----------
    name : str
        For the log.
    every_s : float
        Pause between two starts; a start that finds the last one still running is left out.
    action : callable
        What is done. An error ends this turn, not the timetable.
    """

    name: str
    every_s: float
    action: Callable[[], None]


class Timetable:
    """Runs ticks in background threads. It holds no state: deadlines are in the ledger."""

    def __init__(self, ticks: Sequence[Tick]) -> None:
        self._scheduler = BackgroundScheduler(
            timezone="UTC",
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
        )
        self._scheduler.add_listener(_log_error, EVENT_JOB_ERROR)
        for tick in ticks:
            self._scheduler.add_job(
                tick.action, "interval", seconds=tick.every_s, id=tick.name, name=tick.name
            )

    def start(self) -> None:
        """Begin."""
        logging.getLogger(_SCHEDULER_LOG).setLevel(logging.CRITICAL)
        self._scheduler.start()

    def stop(self) -> None:
        """End; a tick that runs is waited for."""
        self._scheduler.shutdown(wait=True)


def _log_error(event: JobExecutionEvent) -> None:
    error = event.exception
    if isinstance(error, LedgerUnavailableError):  # its words say which ledger, and why
        LOGGER.error("Tick %s waits: %s", event.job_id, error)
    else:
        LOGGER.error("Tick %s failed: %s", event.job_id, stack_of(error))
