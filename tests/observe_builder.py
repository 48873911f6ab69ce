"""A node in numbers, with a sample of every metric."""

from datetime import UTC, datetime

from dicom_node.jobs.depth import Depth
from dicom_node.jobs.destination_ledger import DestinationStatus
from dicom_node.jobs.state import DeliveryState, JobKind, JobState, SeriesState
from dicom_node.jobs.tally import Tallied, Tally
from dicom_node.observe.gpu import GpuMemory
from dicom_node.observe.snapshot import Snapshot

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)

SNAPSHOT = Snapshot(
    tallies=(
        Tallied(tally=Tally.ASSOCIATIONS, labels={"outcome": "accepted", "reason": ""}, value=5),
        Tallied(tally=Tally.INSTANCES, labels={"outcome": "repeated"}, value=1),
        Tallied(tally=Tally.LOST_LEASES, labels={"of": "job"}, value=1),
        Tallied(tally=Tally.ATTEMPTS, labels={"kind": "analysis", "outcome": "results"}, value=1),
        Tallied(tally=Tally.ALERTS, labels={"channel": "mail", "outcome": "sent"}, value=1),
        Tallied(tally=Tally.AUDIT, labels={"outcome": "sent"}, value=1),
        Tallied(tally=Tally.PURGED, labels={"kind": "images", "cause": "age"}, value=30),
        Tallied(tally=Tally.PURGED_BYTES, labels={"kind": "images", "cause": "age"}, value=1e6),
        Tallied(
            tally=Tally.DELIVERY_ATTEMPTS,
            labels={"destination": "pacs", "outcome": "refused"},
            value=2,
        ),
        Tallied(tally=Tally.DOOR_TO_RESULT, labels={"le": "30"}, value=3),
        Tallied(tally=Tally.DOOR_TO_RESULT, labels={"le": "+Inf"}, value=1),
        Tallied(tally=Tally.DOOR_TO_RESULT_SECONDS, labels={}, value=90100.5),
        Tallied(tally=Tally.STEP_SECONDS, labels={"kind": "analysis", "step": "s"}, value=8.5),
        Tallied(tally=Tally.STEPS, labels={"kind": "analysis", "step": "s"}, value=4),
    ),
    depth=Depth(
        series={SeriesState.RECEIVING: 2},
        jobs={(JobKind.SHADOW, JobState.QUEUED): 7},
        deliveries={("pacs", DeliveryState.PENDING): 6},
        oldest_queued_s=12.5,
        last_image_at={"CT1": NOON},
        urgent={"jobs": 3},
    ),
    destinations=(
        DestinationStatus(
            name="pacs",
            waiting=6,
            dead=0,
            held_at=None,
            held_reason="",
            broken_at=NOON,
            probe_at=NOON,
            reason="no answer",
        ),
    ),
    process_ages_s={"worker-0": 2.0},
    disk_free_bytes=300,
    disk_total_bytes=1000,
    certificate_days={"node.pem: CN=node": 12},
    gpus=(GpuMemory(index="0", used_bytes=5, total_bytes=80),),
    watch_alarms={"drift": True},
    custody_scan={"orphans": 1},
    ready=False,
    version="1.2",
)
