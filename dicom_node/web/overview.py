"""The node at a glance, as values: what page and programs are shown."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from dicom_node.jobs.destination_ledger import DestinationStatus
from dicom_node.jobs.study_search import DoorTime
from dicom_node.web.source import Health

#: Fewer times than this have no percentiles worth showing beyond the middle.
_ENOUGH = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class StandingAlert:
    """What is wrong, in a sentence, and since when; None if that is not known."""

    sentence: str
    since: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueRow:
    """How many jobs of one kind are in one state that is not an end."""

    kind: str
    state: str
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Percentiles:
    """Door-to-result times: how many, and within how many seconds so many of a hundred were."""

    number: int
    p50: float | None
    p90: float | None
    p95: float | None
    longest: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """Memory of one GPU in bytes."""

    index: str
    used_bytes: int
    total_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeOverview:
    """The node at one moment.

    Attributes
    ----------
    at : datetime
        Which moment.
    health : Health
        Whether it does its work.
    alerts : sequence of StandingAlert
        What is wrong, the oldest first.
    queue : sequence of QueueRow
        Jobs that wait or are worked on.
    oldest_queued_s : float
        How long the oldest job waits.
    destinations : sequence of DestinationStatus
        What waits for each.
    doors : sequence of DoorTime
        Door-to-result times of the last days, oldest first.
    days : int
        How many days those are.
    disk_free_bytes, disk_total_bytes : int
        Of the data directory's disk.
    gpus : sequence of Gpu
        Their memory.
    last_image_at : mapping
        When the last image came, by sender.
    """

    at: datetime
    health: Health
    alerts: Sequence[StandingAlert]
    queue: Sequence[QueueRow]
    oldest_queued_s: float
    destinations: Sequence[DestinationStatus]
    doors: Sequence[DoorTime]
    days: int
    disk_free_bytes: int
    disk_total_bytes: int
    gpus: Sequence[Gpu]
    last_image_at: Mapping[str, datetime]

    @property
    def door_percentiles(self) -> Percentiles:
        """Of all analyses."""
        return percentiles([one.seconds for one in self.doors])

    @property
    def urgent_percentiles(self) -> Percentiles:
        """Of urgent ones."""
        return percentiles([one.seconds for one in self.doors if one.urgent])

    def as_dict(self) -> dict[str, Any]:
        """Return everything for JSON."""
        facts = asdict(self)
        facts["door_to_result_s"] = asdict(self.door_percentiles)
        facts["urgent_door_to_result_s"] = asdict(self.urgent_percentiles)
        return facts


def percentiles(seconds: Sequence[float]) -> Percentiles:
    """Return percentiles with linear interpolation between the values that there are."""
    if len(seconds) < _ENOUGH:
        (only,) = seconds or (None,)
        return Percentiles(number=len(seconds), p50=only, p90=only, p95=only, longest=only)
    cuts = statistics.quantiles(seconds, n=100, method="inclusive")
    return Percentiles(
        number=len(seconds), p50=cuts[49], p90=cuts[89], p95=cuts[94], longest=max(seconds)
    )
