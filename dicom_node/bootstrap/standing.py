"""What is wrong with the node at the moment, as alerts: constant sentences, nobody's data."""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta

from dicom_node.alerts.alert import Alert
from dicom_node.alerts.silence import Expectation, silences
from dicom_node.bootstrap.audit import audit_spool
from dicom_node.bootstrap.certificate_alarm import certificate_state
from dicom_node.bootstrap.layout import DataLayout
from dicom_node.bootstrap.retention import last_scan, last_standing
from dicom_node.bootstrap.signs_of_life import (
    FULL_BELOW_MB,
    SEEN_WITHIN_S,
    cannot_write_its_sign,
    free_mb,
    is_alive,
    seen_ages,
)
from dicom_node.jobs.alarm_memory import AlarmMemory
from dicom_node.jobs.depth import depth, failed_analyses
from dicom_node.jobs.destination_ledger import DestinationStatus
from dicom_node.jobs.ledger import Ledger
from dicom_node.processes import Role
from dicom_node.settings.schema import Settings
from dicom_node.watch.alarms import SENTENCES, Alarm

#: An analysis that failed is an alert for so long, unless it is tried again.
_FAILED_WITHIN = timedelta(hours=24)

#: A repository is away for longer than a restart of it takes.
_AUDIT_WITHIN = timedelta(hours=1)

#: A worklist that has failed so often in a row is not merely being restarted.
_WORKLIST_FAILURES = 5


class StandingAlerts:
    """Looks at ledger, disk and certificates whenever it is asked.

    Parameters
    ----------
    ledger : Ledger
        Of the node.
    settings : Settings
        What the site expects.
    clock : Callable
        Returns the present as an aware time.
    node_since : datetime
        When the node was started: nobody was silent before.
    configuration : Callable
        Returns what is wrong with the settings file, so that older settings are in force.
    """

    def __init__(
        self,
        ledger: Ledger,
        *,
        settings: Settings,
        clock: Callable[[], datetime],
        node_since: datetime,
        configuration: Callable[[], Sequence[str]] = tuple,
    ) -> None:
        self._ledger = ledger
        self._settings = settings
        self._clock = clock
        self._node_since = node_since
        self._configuration = configuration
        self._memory = AlarmMemory(ledger.database)
        self._expectations = expectations(settings)
        self._spool = audit_spool(settings)

    def look(self) -> tuple[Alert, ...]:
        """Return every alert that stands. Raises LedgerUnavailableError."""
        now = self._clock()
        return (
            *self._processes(now),
            *self._disk(),
            *self._queues(now),
            *(one for each in self._ledger.reports.destinations() for one in _destination(each)),
            *self._worklists(),
            *self._certificates(now),
            *self._custody(),
            *self._watch(),
            *self._audit(now),
            *self._settings_file(),
        )

    def _settings_file(self) -> Iterator[Alert]:
        faults = len(self._configuration())
        if faults:
            yield Alert(
                key="settings",
                sentence=f"The settings file has {faults} faults, older settings are in force: "
                "ichnode config check",
            )

    def _processes(self, now: datetime) -> Iterator[Alert]:
        seen = seen_ages(self._ledger.reports.processes(), now)
        for role in Role:
            # The alert of the disk tells of those that a full disk keeps silent.
            if not is_alive(role, seen) and not cannot_write_its_sign(self._settings, role):
                yield Alert(
                    key=f"process:{role}",
                    sentence=f"The {role} has not been seen for {SEEN_WITHIN_S:.0f} s",
                )

    def _disk(self) -> Iterator[Alert]:
        floor_mb = max(self._settings.node.free_space_floor_mb, FULL_BELOW_MB)
        root = DataLayout(root=self._settings.node.data_dir).root
        if free_mb(root) < floor_mb:
            yield Alert(
                key="disk",
                sentence=f"Less than {floor_mb} MB are free on the disk of {root}: images are "
                "refused",
            )

    def _queues(self, now: datetime) -> Iterator[Alert]:
        present = depth(self._ledger.database, now)
        limit_s = self._settings.alerts.queue_limit_s
        if present.oldest_queued_s > limit_s:
            yield Alert(
                key="queue", sentence=f"A job has waited for a worker for more than {limit_s:g} s"
            )
        failed = failed_analyses(self._ledger.database, now - _FAILED_WITHIN)
        if failed:
            yield Alert(
                key="analyses:failed",
                sentence=f"Analyses that failed within 24 h: {failed}; ichnode status",
            )
        yield from silences(
            self._expectations,
            last_image_at=present.last_image_at,
            node_since=self._node_since,
            now=now.astimezone(),
        )

    def _certificates(self, now: datetime) -> Iterator[Alert]:
        state = certificate_state(self._settings, now)
        for name, days in state.days_left.items():
            if days < self._settings.tls.warn_days:
                yield Alert(key=f"certificate:{name}", sentence=f"{name} ends soon or has ended")
        if state.faults:
            yield Alert(key="tls", sentence="TLS cannot be spoken: ichnode check says why")

    def _custody(self) -> Iterator[Alert]:
        standing, scan = last_standing(self._ledger), last_scan(self._ledger)
        if standing is not None and standing.missing_bytes:
            yield Alert(
                key="retention",
                sentence="The disk is nearly full and nothing more may be purged: "
                "ichnode retention plan",
            )
        if scan is not None and (scan.missing_images or scan.missing_results):
            yield Alert(
                key="custody:missing",
                sentence="Images or results are gone from the disk: ichnode verify",
            )
        if scan is not None and scan.orphans:
            yield Alert(
                key="custody:orphans", sentence="Images have no row: ichnode verify --repair"
            )

    def _watch(self) -> Iterator[Alert]:
        names = self._memory.standing()
        for alarm in Alarm:
            if alarm.value in names:
                yield Alert(key=f"watch:{alarm.value}", sentence=f"Watch: {SENTENCES[alarm]}")

    def _worklists(self) -> Iterator[Alert]:
        """Return worklists that are away, without the words of their servers."""
        names = {worklist.name for worklist in self._settings.worklists}
        for one in self._ledger.worklists.worklists():
            if one.name in names and one.failures >= _WORKLIST_FAILURES:
                yield Alert(
                    key=f"worklist:{one.name}:away",
                    sentence=f"The worklist {one.name} does not answer: ichnode worklist",
                )

    def _audit(self, now: datetime) -> Iterator[Alert]:
        oldest_at = self._spool.oldest_at() if self._settings.audit.enabled else None
        if oldest_at is not None and now - oldest_at > _AUDIT_WITHIN:
            yield Alert(
                key="audit", sentence="Audit messages have waited for the repository for an hour"
            )


def expectations(settings: Settings) -> tuple[Expectation, ...]:
    """Return who shall send at which hours."""
    return tuple(
        Expectation(
            caller=one.caller, hours=one.hours, from_hour=one.from_hour, to_hour=one.to_hour
        )
        for one in settings.alerts.silence
    )


def _destination(one: DestinationStatus) -> Iterator[Alert]:
    """Return what is wrong with a destination, without the words of its peer."""
    if one.dead:
        yield Alert(
            key=f"delivery:{one.name}:dead",
            sentence=f"Results for {one.name} were given up: ichnode deliveries list --state dead",
        )
    if one.broken_at is not None and one.held_at is None:
        yield Alert(
            key=f"delivery:{one.name}:away",
            sentence=f"{one.name} is out of reach; results wait for it",
        )
