"""A process that starts knows that the one before it is dead, and frees what that one held."""

import pytest
from node_builders import arrive, opened_ledger, small_series, stored_objects

from dicom_node.intake.assembly import AssemblyRules
from dicom_node.intake.default_rules import DEFAULT_RULES
from dicom_node.jobs.office import AssemblyOffice
from dicom_node.jobs.retry import RetryPolicy
from dicom_node.jobs.state import DeliveryState, JobState

POLICY = RetryPolicy(max_attempts=2, first_delay_s=30)


@pytest.fixture
def ledger(tmp_path, clock):
    """Return a ledger with one job."""
    with opened_ledger(tmp_path / "ledger.sqlite") as ledger:
        arrive(ledger, small_series(), clock)
        clock.turn(5)
        AssemblyOffice(
            ledger=ledger, assembly=AssemblyRules(), selection=DEFAULT_RULES, clock=clock
        ).tick()
        yield ledger


def claim(ledger, clock, worker="worker-0"):
    return ledger.jobs.claim(worker, now=clock(), lease_s=60, time_limit_s=600)


def test_a_restarted_worker_begins_again_at_once(ledger, clock):
    """It does not wait for its own lease or a back-off."""
    claim(ledger, clock)

    assert ledger.jobs.release("worker-0", POLICY, clock()) == 1

    assert claim(ledger, clock) is not None


def test_what_another_worker_holds_is_left_alone(ledger, clock):
    """Only the name that was restarted is known to be dead."""
    claim(ledger, clock, "worker-1")

    assert ledger.jobs.release("worker-0", POLICY, clock()) == 0

    assert claim(ledger, clock) is None


def test_a_job_that_kills_every_worker_runs_out_of_attempts(ledger, clock):
    """Two attempts were allowed; the second death is the end."""
    for _ in range(2):
        claim(ledger, clock)
        ledger.jobs.release("worker-0", POLICY, clock())

    assert ledger.reports.overview().series[0].job.state is JobState.FAILED


def test_a_restarted_courier_sends_again_at_once(ledger, clock):
    """The 300 seconds of its lease are not waited for."""
    ledger.jobs.complete(
        claim(ledger, clock),
        stored_objects(),
        model_digest="m",
        configuration_digest="c",
        destinations=("pacs",),
        record={},
        now=clock(),
    )
    ledger.deliveries.claim("pacs", "office", now=clock(), lease_s=300)

    assert ledger.deliveries.release("office", clock()) == 3

    assert ledger.reports.overview().deliveries_by_state == {DeliveryState.PENDING: 3}
    assert ledger.deliveries.claim("pacs", "office", now=clock(), lease_s=300) is not None
