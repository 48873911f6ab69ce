"""How far ahead the times of the ledger can lie, by the waits that a site set."""

from typing import TYPE_CHECKING

from dicom_node.bootstrap import parts
from dicom_node.settings.schema import Settings

if TYPE_CHECKING:
    from dicom_node.jobs.future_times import LongestWaits


def longest_waits(settings: Settings) -> "LongestWaits":
    """Return the longest wait of every kind."""
    from dicom_node.jobs.commitment_requests import OWN_ASSOCIATION_S
    from dicom_node.jobs.future_times import LongestWaits
    from dicom_node.jobs.prior_seeker import ABANDONED

    jobs, delivery = parts.job_rules(settings), parts.delivery_rules(settings)
    commitment = parts.commitment_rules(settings)
    assembly = parts.assembly_rules(settings)
    follow_up = settings.follow_up
    return LongestWaits(
        series_s=max(assembly.quiet_s, assembly.force_s),
        job_s=jobs.retry.cap_s,
        job_lease_s=jobs.lease_s,
        job_limit_s=jobs.time_limit_s,
        delivery_s=max(delivery.network.cap_s, delivery.refusal.cap_s, commitment.retry.cap_s),
        delivery_lease_s=delivery.lease_s,
        probe_s=delivery.breaker.longest_probe_s,
        commitment_s=max(commitment.answer_s, commitment.unreached_s, commitment.retry.cap_s),
        report_s=max(OWN_ASSOCIATION_S, delivery.network.cap_s),
        search_s=max(ABANDONED.total_seconds(), follow_up.longest_wait_s),
    )
