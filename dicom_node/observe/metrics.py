"""The metrics of the node in the text format of Prometheus.

Counters and the histogram come from the ledger, where the processes of the node count in their
transactions: a restart of any of them resets nothing. Gauges are what stands there at the moment.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from math import inf

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
    SummaryMetricFamily,
)
from prometheus_client.registry import Collector

from dicom_node.jobs.state import DeliveryState, JobState, SeriesState
from dicom_node.jobs.tally import ABOVE, DOOR_BOUNDS_S, Tallied, Tally
from dicom_node.observe.snapshot import Snapshot

#: What `generate_latest` writes.
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

#: Counters as they stand in the ledger: name, what it counts, what it is told apart by.
_COUNTERS: Mapping[Tally, tuple[str, str, tuple[str, ...]]] = {
    Tally.ASSOCIATIONS: (
        "ichnode_associations",
        "Associations asked for, by outcome and reason of refusal",
        ("outcome", "reason"),
    ),
    Tally.INSTANCES: (
        "ichnode_instances_received",
        "Instances that senders offered, by what became of them",
        ("outcome",),
    ),
    Tally.LOST_LEASES: (
        "ichnode_lost_leases",
        "Jobs and deliveries taken from a process that had died or hung",
        ("of",),
    ),
    Tally.ATTEMPTS: (
        "ichnode_job_attempts",
        "Ended attempts of jobs, by kind and outcome",
        ("kind", "outcome"),
    ),
    Tally.DELIVERY_ATTEMPTS: (
        "ichnode_delivery_attempts",
        "Attempts to send one object, by destination and outcome",
        ("destination", "outcome"),
    ),
    Tally.ALERTS: (
        "ichnode_alert_messages",
        "Messages about alerts, by channel and outcome",
        ("channel", "outcome"),
    ),
    Tally.AUDIT: (
        "ichnode_audit_messages",
        "Audit messages, by what became of them",
        ("outcome",),
    ),
    Tally.WORKITEMS: (
        "ichnode_workitems",
        "Workitems of worklists, by what became of them",
        ("worklist", "outcome"),
    ),
    Tally.PURGED: (
        "ichnode_purged_files",
        "Files that left custody, by kind and cause",
        ("kind", "cause"),
    ),
    Tally.PURGED_BYTES: (
        "ichnode_purged_bytes",
        "Bytes that left custody, by kind and cause",
        ("kind", "cause"),
    ),
}


def exposition(snapshot: Snapshot) -> bytes:
    """Return the metrics as Prometheus reads them."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Families(lambda: families(snapshot)))
    return generate_latest(registry)


def families(snapshot: Snapshot) -> Iterator[Metric]:
    """Return every metric with its samples."""
    yield from _counters(snapshot.tallies)
    yield _door_to_result(snapshot.tallies)
    yield _steps(snapshot.tallies)
    yield from _depths(snapshot)
    yield from _destinations(snapshot)
    yield from _machine(snapshot)
    yield from _custody(snapshot)
    yield from _standing(snapshot)


class _Families(Collector):
    """What a registry asks for metrics that are made when they are asked for."""

    def __init__(self, make: Callable[[], Iterator[Metric]]) -> None:
        self._make = make

    def collect(self) -> Iterable[Metric]:
        return self._make()


def _counters(tallies: Sequence[Tallied]) -> Iterator[Metric]:
    for tally, (name, words, labels) in _COUNTERS.items():
        family = CounterMetricFamily(name, words, labels=labels)
        for one in _of(tallies, tally):
            family.add_metric([one.labels.get(label, "") for label in labels], one.value)
        yield family


def _door_to_result(tallies: Sequence[Tallied]) -> Metric:
    family = HistogramMetricFamily(
        "ichnode_door_to_result_seconds",
        "Time from the last image received to the last result accepted everywhere",
    )
    counts = dict.fromkeys((*map(str, DOOR_BOUNDS_S), ABOVE), 0.0)
    for one in _of(tallies, Tally.DOOR_TO_RESULT):
        counts[one.labels["le"]] = one.value
    buckets, total = [], 0.0
    for bound in sorted(counts, key=lambda text: inf if text == ABOVE else float(text)):
        total += counts[bound]
        buckets.append((bound, total))
    seconds = sum(one.value for one in _of(tallies, Tally.DOOR_TO_RESULT_SECONDS))
    family.add_metric([], buckets=buckets, sum_value=seconds)
    return family


def _steps(tallies: Sequence[Tallied]) -> Metric:
    family = SummaryMetricFamily(
        "ichnode_step_seconds", "Time of each step of a job", labels=("kind", "step")
    )
    numbers = {tuple(sorted(one.labels.items())): one.value for one in _of(tallies, Tally.STEPS)}
    for one in _of(tallies, Tally.STEP_SECONDS):
        family.add_metric(
            [one.labels["kind"], one.labels["step"]],
            count_value=int(numbers.get(tuple(sorted(one.labels.items())), 0)),
            sum_value=one.value,
        )
    return family


def _depths(snapshot: Snapshot) -> Iterator[Metric]:
    depth = snapshot.depth
    series = GaugeMetricFamily("ichnode_series", "Series, by state", labels=("state",))
    for state in SeriesState:
        series.add_metric([state.value], depth.series.get(state, 0))
    yield series
    jobs = GaugeMetricFamily("ichnode_jobs", "Jobs, by kind and state", labels=("kind", "state"))
    for kind in sorted({kind for kind, _ in depth.jobs}):
        for job_state in JobState:
            number = depth.jobs.get((kind, job_state), 0)
            jobs.add_metric([kind.value, job_state.value], number)
    yield jobs
    yield _gauge(
        "ichnode_oldest_queued_seconds",
        "How long the oldest job that may be claimed has waited",
        depth.oldest_queued_s,
    )
    urgent = GaugeMetricFamily(
        "ichnode_urgent_waiting", "What urgent studies wait for", labels=("what",)
    )
    for what, number in sorted(depth.urgent.items()):
        urgent.add_metric([what], number)
    yield urgent
    last = GaugeMetricFamily(
        "ichnode_last_image_timestamp_seconds",
        "When the last image came, by calling AE title",
        labels=("caller",),
    )
    for caller, at in sorted(depth.last_image_at.items()):
        last.add_metric([caller], at.timestamp())
    yield last


def _destinations(snapshot: Snapshot) -> Iterator[Metric]:
    deliveries = GaugeMetricFamily(
        "ichnode_deliveries",
        "Objects on their way, by destination and state",
        labels=("destination", "state"),
    )
    for name in sorted({name for name, _ in snapshot.depth.deliveries}):
        for state in DeliveryState:
            number = snapshot.depth.deliveries.get((name, state), 0)
            deliveries.add_metric([name, state.value], number)
    yield deliveries
    broken = GaugeMetricFamily(
        "ichnode_destination_out_of_reach",
        "1 while the circuit of a destination is broken",
        labels=("destination",),
    )
    held = GaugeMetricFamily(
        "ichnode_destination_held", "1 while an operator holds it", labels=("destination",)
    )
    for one in snapshot.destinations:
        broken.add_metric([one.name], float(one.broken_at is not None))
        held.add_metric([one.name], float(one.held_at is not None))
    yield broken
    yield held


def _machine(snapshot: Snapshot) -> Iterator[Metric]:
    used = snapshot.disk_total_bytes - snapshot.disk_free_bytes
    yield _gauge(
        "ichnode_disk_free_bytes", "Free on the data directory's disk", snapshot.disk_free_bytes
    )
    yield _gauge("ichnode_disk_used_bytes", "Used on the data directory's disk", used)
    gpu_used = GaugeMetricFamily("ichnode_gpu_memory_used_bytes", "GPU memory", labels=("gpu",))
    gpu_total = GaugeMetricFamily("ichnode_gpu_memory_bytes", "GPU memory", labels=("gpu",))
    for gpu in snapshot.gpus:
        gpu_used.add_metric([gpu.index], gpu.used_bytes)
        gpu_total.add_metric([gpu.index], gpu.total_bytes)
    yield gpu_used
    yield gpu_total
    days = GaugeMetricFamily(
        "ichnode_certificate_days", "Whole days a certificate holds", labels=("certificate",)
    )
    for name, left in sorted(snapshot.certificate_days.items()):
        days.add_metric([name], left)
    yield days
    seen = GaugeMetricFamily(
        "ichnode_process_seen_seconds", "Since a process was last seen", labels=("process",)
    )
    for name, age_s in sorted(snapshot.process_ages_s.items()):
        seen.add_metric([name], age_s)
    yield seen


def _custody(snapshot: Snapshot) -> Iterator[Metric]:
    yield _gauge(
        "ichnode_retention_emergency",
        "1 while the disk is so full that the oldest go whatever their age",
        float(snapshot.retention_emergency),
    )
    yield _gauge(
        "ichnode_retention_missing_bytes",
        "Room that is needed and that no purge may make",
        snapshot.retention_missing_bytes,
    )
    scan = GaugeMetricFamily(
        "ichnode_custody_scan",
        "What the daily scan found: files without a row, images and results without a file",
        labels=("found",),
    )
    for name, number in sorted(snapshot.custody_scan.items()):
        scan.add_metric([name], number)
    yield scan


def _standing(snapshot: Snapshot) -> Iterator[Metric]:
    alarms = GaugeMetricFamily(
        "ichnode_watch_alarm", "1 while an alarm of the watch stands", labels=("alarm",)
    )
    for name, stands in snapshot.watch_alarms.items():
        alarms.add_metric([name], float(stands))
    yield alarms
    yield _gauge("ichnode_alerts", "Alerts that stand", snapshot.alerts)
    yield _gauge(
        "ichnode_audit_waiting",
        "Audit messages that the repository does not have yet",
        snapshot.audit_waiting,
    )
    yield _gauge("ichnode_ready", "1 while the node can do its work", float(snapshot.ready))
    version = GaugeMetricFamily("ichnode_version_info", "Version of the node", labels=("version",))
    version.add_metric([snapshot.version], 1)
    yield version


def _gauge(name: str, words: str, value: float) -> Metric:
    return GaugeMetricFamily(name, words, value=value)


def _of(tallies: Sequence[Tallied], tally: Tally) -> Iterator[Tallied]:
    return (one for one in tallies if one.tally is tally)
