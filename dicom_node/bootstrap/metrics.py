"""The metrics of a node: its ledger, disk, GPUs and certificates, brought together."""

import shutil
import time
from collections.abc import Callable
from datetime import datetime

from dicom_node.alerts.shelf import LedgerShelf
from dicom_node.bootstrap.audit import audit_spool
from dicom_node.bootstrap.layout import DataLayout
from dicom_node.bootstrap.retention import last_scan, last_standing
from dicom_node.bootstrap.status import LedgerStatus
from dicom_node.jobs.alarm_memory import AlarmMemory
from dicom_node.jobs.depth import depth
from dicom_node.jobs.documents import Documents
from dicom_node.jobs.ledger import Ledger
from dicom_node.observe.gpu import GpuMemory, gpu_memory
from dicom_node.observe.metrics import exposition
from dicom_node.observe.snapshot import Snapshot
from dicom_node.settings.schema import Settings
from dicom_node.watch.alarms import Alarm

#: NVIDIA's tool takes up to a second; Prometheus asks every few.
_GPU_EVERY_S = 15.0


class NodeMetrics:
    """Answers ``/metrics``; everything is read at the time of asking.

    Parameters
    ----------
    ledger : Ledger
        Counts and states.
    settings : Settings
        Says where the data lie, and which certificates there are.
    clock : Callable
        Returns the present as an aware time.
    ask_gpu : Callable
        Returns the memory of every GPU.
    """

    def __init__(
        self,
        ledger: Ledger,
        *,
        settings: Settings,
        clock: Callable[[], datetime],
        ask_gpu: Callable[[], tuple[GpuMemory, ...]] = gpu_memory,
    ) -> None:
        self._ledger = ledger
        self._status = LedgerStatus(ledger.reports, settings=settings, clock=clock)
        self._memory = AlarmMemory(ledger.database)
        self._shelf = LedgerShelf(Documents(ledger.database))
        self._audit = audit_spool(settings)
        self._root = DataLayout(root=settings.node.data_dir).root
        self._clock = clock
        self._ask_gpu = ask_gpu
        self._gpus: tuple[GpuMemory, ...] = ()
        self._gpus_at = -_GPU_EVERY_S

    def use(self, settings: Settings) -> None:
        """Go by other settings from now on."""
        self._status.use(settings)
        self._audit = audit_spool(settings)

    def exposition(self) -> bytes:
        """Return the metrics as Prometheus reads them. Raises LedgerUnavailableError."""
        return exposition(self.snapshot())

    def snapshot(self) -> Snapshot:
        """Return the node in numbers. Raises LedgerUnavailableError."""
        health = self._status.health()
        disk = shutil.disk_usage(self._root)
        standing = self._memory.standing()
        retention, scan = last_standing(self._ledger), last_scan(self._ledger)
        return Snapshot(
            tallies=self._ledger.tallies.read(),
            depth=depth(self._ledger.database, self._clock()),
            destinations=self._ledger.reports.destinations(),
            process_ages_s=health.processes,
            disk_free_bytes=disk.free,
            disk_total_bytes=disk.total,
            certificate_days=health.certificate_days,
            gpus=self._gpu(),
            alerts=len(self._shelf.read().standing),
            audit_waiting=len(self._audit.waiting()),
            retention_emergency=retention is not None and retention.is_emergency,
            retention_missing_bytes=0 if retention is None else retention.missing_bytes,
            custody_scan={} if scan is None else scan.found,
            watch_alarms={alarm.value: alarm.value in standing for alarm in Alarm},
            ready=health.healthy,
            version=health.version,
        )

    def _gpu(self) -> tuple[GpuMemory, ...]:
        now = time.monotonic()
        if now - self._gpus_at >= _GPU_EVERY_S:
            self._gpus, self._gpus_at = self._ask_gpu(), now
        return self._gpus
