"""The port behind which work is distributed; the ledger is one implementation."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from dicom_node.jobs.planning import PlanningRules
from dicom_node.jobs.task import Claim, Leaflet, StoredObject


class JobQueue(Protocol):
    """What a worker needs of the place where jobs wait.

    Every method but `claim` raises LostLeaseError if the claim is no longer the worker's.
    """

    def claim(
        self, worker: str, *, now: datetime, lease_s: float, time_limit_s: float
    ) -> Claim | None:
        """Return the next job, now this worker's, or None if nothing waits."""

    def renew(self, claim: Claim, *, now: datetime, lease_s: float) -> None:
        """Extend the lease, never beyond the deadline."""

    def note_step(self, claim: Claim, step: str, *, now: datetime) -> None:
        """Write down that a step begins."""

    def complete(
        self,
        claim: Claim,
        objects: Sequence[StoredObject],
        *,
        model_digest: str,
        configuration_digest: str,
        destinations: Sequence[str],
        record: Mapping[str, Any],
        now: datetime,
        plans: PlanningRules,
    ) -> None:
        """Store results and deliveries, end the job and plan what follows, in one transaction."""

    def reject(
        self,
        claim: Claim,
        reason: str,
        *,
        record: Mapping[str, Any],
        now: datetime,
        leaflet: Leaflet | None = None,
    ) -> None:
        """End the job: the series cannot be analysed, or not be compared."""

    def fail(self, claim: Claim, reason: str, *, again_at: datetime | None, now: datetime) -> None:
        """End the attempt: the job waits until `again_at`, or gives up if that is None."""
