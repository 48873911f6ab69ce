"""Everything that the metrics are made of, at one moment."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from dicom_node.jobs.depth import Depth
from dicom_node.jobs.destination_ledger import DestinationStatus
from dicom_node.jobs.tally import Tallied
from dicom_node.observe.gpu import GpuMemory


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The node in numbers.

    Attributes
    ----------
    tallies : sequence of Tallied
        Counts since the ledger was made.
    depth : Depth
        What is in which state.
    destinations : sequence of DestinationStatus
        Holds and broken circuits.
    process_ages_s : mapping
        Seconds since each process was last seen alive.
    disk_free_bytes, disk_total_bytes : int
        Of the disk that holds the data directory.
    certificate_days : mapping
        Whole days that each certificate still holds.
    gpus : sequence of GpuMemory
        Memory of each GPU; none without one.
    watch_alarms : mapping of str to bool
        Which alarms of the watch stand.
    alerts : int
        How many alerts stand.
    audit_waiting : int
        Audit messages that the repository does not have yet.
    retention_emergency : bool
        Whether the disk is so full that the oldest are purged whatever their age.
    retention_missing_bytes : int
        Room that no purge may make.
    custody_scan : mapping of str to int
        What the last scan of the spool found, by its name; empty before the first.
    ready : bool
        Whether the node can do its work.
    version : str
        Version of the node.
    """

    tallies: Sequence[Tallied]
    depth: Depth
    destinations: Sequence[DestinationStatus]
    process_ages_s: Mapping[str, float]
    disk_free_bytes: int
    disk_total_bytes: int
    ready: bool
    version: str
    certificate_days: Mapping[str, int] = field(default_factory=dict)
    gpus: Sequence[GpuMemory] = ()
    watch_alarms: Mapping[str, bool] = field(default_factory=dict)
    alerts: int = 0
    audit_waiting: int = 0
    retention_emergency: bool = False
    retention_missing_bytes: int = 0
    custody_scan: Mapping[str, int] = field(default_factory=dict)
