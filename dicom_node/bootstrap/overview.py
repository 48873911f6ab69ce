"""The node at a glance, read from ledger, disk and alerts."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from dicom_node.alerts.shelf import LedgerShelf
from dicom_node.bootstrap.metrics import NodeMetrics
from dicom_node.bootstrap.status import LedgerStatus
from dicom_node.jobs.alarm_memory import AlarmMemory
from dicom_node.jobs.documents import Documents
from dicom_node.jobs.ledger import Ledger
from dicom_node.jobs.state import JobState
from dicom_node.jobs.study_search import StudySearch
from dicom_node.settings.schema import Settings
from dicom_node.watch.alarms import SENTENCES, Alarm
from dicom_node.web.overview import Gpu, NodeOverview, QueueRow, StandingAlert

#: Door-to-result times are shown of so many days.
DAYS: Final = 7

_OPEN: Final = (JobState.QUEUED, JobState.ANALYZING, JobState.DELIVERING)


class LedgerOverview:
    """Looks whenever it is asked.

    Parameters
    ----------
    ledger, settings, clock
        Of the node.
    status
        Knows its health.
    """

    def __init__(
        self,
        ledger: Ledger,
        *,
        status: LedgerStatus,
        settings: Settings,
        clock: Callable[[], datetime],
    ) -> None:
        self._status = status
        self._metrics = NodeMetrics(ledger, settings=settings, clock=clock)
        self._search = StudySearch(ledger.database)
        self._shelf = LedgerShelf(Documents(ledger.database))
        self._memory = AlarmMemory(ledger.database)
        self._clock = clock

    def use(self, settings: Settings) -> None:
        """Go by other settings from now on."""
        self._metrics.use(settings)

    def look(self) -> NodeOverview:
        """Return the node at this moment. Raises LedgerUnavailableError."""
        now, snapshot = self._clock(), self._metrics.snapshot()
        return NodeOverview(
            at=now,
            health=self._status.health(),
            alerts=self._alerts(),
            queue=tuple(
                QueueRow(kind=str(kind), state=str(state), number=number)
                for (kind, state), number in sorted(snapshot.depth.jobs.items())
                if state in _OPEN and number
            ),
            oldest_queued_s=snapshot.depth.oldest_queued_s,
            destinations=snapshot.destinations,
            doors=self._search.door_times(now - timedelta(days=DAYS)),
            days=DAYS,
            disk_free_bytes=snapshot.disk_free_bytes,
            disk_total_bytes=snapshot.disk_total_bytes,
            gpus=tuple(
                Gpu(index=one.index, used_bytes=one.used_bytes, total_bytes=one.total_bytes)
                for one in snapshot.gpus
            ),
            last_image_at=dict(sorted(snapshot.depth.last_image_at.items())),
        )

    def _alerts(self) -> tuple[StandingAlert, ...]:
        """Return what the office last saw; the watch's alarms also before they are an alert."""
        entries = self._shelf.read().standing
        told = {entry.alert.key for entry in entries}
        names = self._memory.standing()
        found = [StandingAlert(sentence=one.alert.sentence, since=one.since) for one in entries]
        found += [
            StandingAlert(sentence=f"Watch: {SENTENCES[alarm]}")
            for alarm in Alarm
            if alarm.value in names and f"watch:{alarm.value}" not in told
        ]
        return tuple(found)
