"""A clock that is set back holds up no series, job, lease, delivery, search or process."""

from datetime import timedelta

import pytest
from node_builders import (
    arrive,
    opened_ledger,
    process_identity,
    small_series,
    stored_objects,
)

from dicom_node.association.commitment_terms import CommitmentRequest, Reference
from dicom_node.errors import LostLeaseError
from dicom_node.intake.assembly import AssemblyRules
from dicom_node.intake.default_rules import DEFAULT_RULES
from dicom_node.jobs.commitment_ledger import CommitmentRules
from dicom_node.jobs.delivery_ledger import Failure
from dicom_node.jobs.destination_ledger import BreakerRules, Gate
from dicom_node.jobs.future_times import FutureTimes, LongestWaits
from dicom_node.jobs.office import AssemblyOffice, Sweeper
from dicom_node.jobs.planning import PlanningRules
from dicom_node.jobs.retry import RetryPolicy
from dicom_node.jobs.state import JobState, SeriesState
from dicom_node.jobs.tables import AwareTime, Table
from dicom_node.jobs.worker import JobRules
from dicom_node.wall_clock import brought_back

YEAR_S = 400 * 24 * 3600.0
RETRY = RetryPolicy(max_attempts=9, first_delay_s=30, cap_s=600)
COMMITMENT = CommitmentRules(retry=RETRY)

LEDGER_MODULES = {
    "dicom_node.jobs.tables",
    "dicom_node.jobs.delivery_tables",
    "dicom_node.jobs.reprocess_tables",
}

#: Times that only tell what has been; nobody waits for them.
HISTORY = {
    "associations.closed_at",
    "associations.opened_at",
    "commitment_requests.answered_at",
    "commitment_requests.received_at",
    "commitments.answered_at",
    "commitments.asked_at",
    "destinations.held_at",
    "destinations.opened_at",
    "events.at",
    "instances.committed_at",
    "instances.purged_at",
    "instances.received_at",
    "jobs.created_at",
    "jobs.finished_at",
    "jobs.purged_at",
    "jobs.started_at",
    "objects.purged_at",
    "prior_searches.created_at",
    "prior_searches.finished_at",
    "prior_series.asked_at",
    "processes.ended_at",
    "processes.started_at",
    "reprocess_runs.created_at",
    "reprocess_runs.finished_at",
    "reprocess_studies.began_at",
    "reprocess_studies.finished_at",
    "result_sets.created_at",
    "series.first_received_at",
    "series.purged_at",
}


class Node:
    """A ledger, its office, and a clock that can be set."""

    def __init__(self, ledger, clock):
        self.ledger = ledger
        self.clock = clock
        self.assembly = AssemblyOffice(
            ledger=ledger, assembly=AssemblyRules(), selection=DEFAULT_RULES, clock=clock
        )
        self.sweeper = Sweeper(ledger=ledger, job_rules=JobRules(), clock=clock)

    def set_back(self):
        """Set the clock back by more than a year, and sweep."""
        self.clock.turn(-YEAR_S)
        self.sweeper.tick()

    def queue(self):
        """Send a series and let it be chosen."""
        arrive(self.ledger, small_series(), self.clock)
        self.clock.turn(10)
        self.assembly.tick()

    def claim(self, worker="worker-0"):
        """Claim a job for a minute."""
        return self.ledger.jobs.claim(worker, now=self.clock(), lease_s=60, time_limit_s=900)

    def analyze(self, **plans):
        """Have results for the PACS."""
        self.queue()
        self.ledger.jobs.complete(
            self.claim(),
            stored_objects(),
            model_digest="m",
            configuration_digest="c",
            destinations=("pacs",),
            record={"status": "hematoma_found", "acquired_at": "2026-01-05T08:00:00"},
            now=self.clock(),
            plans=PlanningRules(**plans),
        )

    def parcel(self):
        """Claim what waits for the PACS for five minutes."""
        return self.ledger.deliveries.claim("pacs", "office", now=self.clock(), lease_s=300)


@pytest.fixture
def ahead(ledger, clock):
    """Return a node whose clock is more than a year ahead."""
    clock.turn(YEAR_S)
    return Node(ledger, clock)


def test_a_series_that_was_arriving_becomes_complete(ahead, ledger, clock):
    """Its last image came in the future; after the quiet time from now on it is complete."""
    arrive(ledger, small_series(), clock)
    ahead.set_back()

    clock.turn(AssemblyRules().quiet_s)
    ahead.assembly.tick()

    assert ledger.reports.overview().series[0].state is SeriesState.CHOSEN


def test_a_series_that_waits_for_its_study_is_decided(ahead, ledger, clock):
    """It was complete in the future; the study's limits count from now."""
    arrive(ledger, small_series(), clock)
    clock.turn(5)
    (series_uid,) = ledger.series.due(AssemblyRules(), clock())
    ledger.series.assess(series_uid, AssemblyRules(), clock())
    ahead.set_back()

    clock.turn(AssemblyRules().study_quiet_s)
    ahead.assembly.tick()

    assert ledger.reports.overview().series[0].state is SeriesState.CHOSEN


def test_a_queued_job_may_begin(ahead):
    """A year too late for a moment must not cost a year."""
    ahead.queue()
    ahead.set_back()

    assert ahead.claim() is not None


def test_a_dead_worker_loses_its_job_after_its_lease(ahead, ledger, clock):
    """The lease counts from now on: whoever lives renews it, whoever is dead does not."""
    ahead.queue()
    ahead.claim()
    ahead.set_back()
    kept = dict(ledger.reports.overview().jobs_by_state)

    clock.turn(61)
    ahead.sweeper.tick()

    assert set(kept) == {JobState.ANALYZING}
    assert set(ledger.reports.overview().jobs_by_state) == {JobState.QUEUED}


def test_a_living_worker_keeps_its_job_but_not_beyond_its_time_limit(ahead, ledger, clock):
    """The deadline is brought back, too: a hung analysis does not renew its lease for a year."""
    ahead.queue()
    claim = ahead.claim()
    ahead.set_back()
    for _ in range(15):
        ledger.jobs.renew(claim, now=clock(), lease_s=60)
        clock.turn(59)
        ahead.sweeper.tick()
    clock.turn(60)
    ahead.sweeper.tick()

    with pytest.raises(LostLeaseError):
        ledger.jobs.renew(claim, now=clock(), lease_s=60)


def test_an_object_that_waits_is_sent(ahead, ledger, clock):
    """Whatever its back-off was: it lies within reach now."""
    ahead.analyze()
    for item in ahead.parcel().items:
        again_at = clock() + timedelta(seconds=60)
        ledger.deliveries.postpone(
            item, "away", failure=Failure.BROKEN_OFF, again_at=again_at, now=clock()
        )
    ahead.set_back()

    assert ahead.parcel() is not None


def test_a_dead_courier_loses_its_objects_after_its_lease(ahead, clock):
    """As a worker does."""
    ahead.analyze()
    ahead.parcel()
    ahead.set_back()
    too_early = ahead.parcel()

    clock.turn(301)

    assert too_early is None
    assert ahead.parcel() is not None


def test_a_destination_that_was_out_of_reach_is_probed(ahead, ledger, clock):
    """Its next probe is due."""
    ledger.destinations.failed("pacs", "no", rules=BreakerRules(failures=1), now=clock())
    ahead.set_back()

    assert ledger.destinations.gate("pacs", clock()) is Gate.PROBE


def test_a_commitment_is_asked_for_again(ahead, ledger, clock):
    """It is not waited for the report of a request that was made in the future."""
    ahead.analyze()
    for item in ahead.parcel().items:
        ledger.deliveries.accept(item, "accepted", now=clock(), wants_commitment=True)
    ledger.commitments.claim("pacs", transaction_uid="1.2.1", rules=COMMITMENT, now=clock())
    ahead.set_back()

    again = ledger.commitments.claim(
        "pacs", transaction_uid="1.2.2", rules=COMMITMENT, now=clock()
    )

    assert again is not None


def test_a_sender_is_told_what_it_asked_for(ahead, ledger, clock):
    """The report is due."""
    reference = Reference(sop_class_uid="1.2.840.10008.5.1.4.1.1.2", sop_instance_uid="1.2.3")
    request = CommitmentRequest(transaction_uid="1.2.1", references=(reference,))
    ledger.commitment_requests.record(request, calling_ae_title="CT1", now=clock())
    ahead.set_back()

    assert len(ledger.commitment_requests.due(clock())) == 1


def test_a_search_for_earlier_scans_is_made(ahead, ledger, clock):
    """It was planned in the future."""
    ahead.analyze(prior_peers=("pacs",))
    ahead.set_back()

    assert ledger.priors.begin("pacs", now=clock(), again_at=clock()) is not None


def test_a_dead_process_does_not_count_as_alive(ahead, ledger, clock):
    """What a dead receiver had open is closed after the usual silence."""
    ledger.presence.enter(process_identity(), clock())
    arrive(ledger, small_series(), clock, is_closed=False)
    ahead.set_back()

    clock.turn(31)

    assert ledger.presence.sweep(clock(), silent_s=30) == 1


def test_lawful_waits_are_left_alone(ledger, clock):
    """A retry, a lease and a back-off of the longest kind lie ahead, and stay there."""
    node = Node(ledger, clock)
    node.analyze()
    for item in node.parcel().items:
        again_at = clock() + timedelta(hours=1)
        ledger.deliveries.postpone(
            item, "away", failure=Failure.BROKEN_OFF, again_at=again_at, now=clock()
        )
    arrive(ledger, small_series(seed=2, study_uid="1.2.9"), clock)

    assert FutureTimes(ledger.database, LongestWaits()).bring_back(clock()) == 0
    assert node.parcel() is None


def test_a_clock_that_is_corrected_by_moments_changes_nothing(ledger, clock):
    """NTP and two processes that look one after the other are no reason to touch anything."""
    arrive(ledger, small_series(), clock)

    clock.turn(-4)

    assert FutureTimes(ledger.database, LongestWaits()).bring_back(clock()) == 0


def test_every_time_of_the_ledger_is_history_or_brought_back(tmp_path):
    """Whoever adds a time to images, jobs and deliveries says how far ahead it can lie."""
    with opened_ledger(tmp_path / "ledger.sqlite") as ledger:
        kept = {
            f"{one.time.class_.__tablename__}.{one.time.key}"
            for one in FutureTimes(ledger.database, LongestWaits())._kept
        }
    times = {
        f"{mapper.local_table.name}.{column.name}"
        for mapper in Table.registry.mappers
        for column in mapper.local_table.columns
        if mapper.class_.__module__ in LEDGER_MODULES and isinstance(column.type, AwareTime)
    }

    assert kept & HISTORY == set()
    assert times - HISTORY == kept


def test_the_rule_in_numbers(clock):
    """A wait of an hour can mean an hour and a few seconds, not two hours."""
    hour, now = timedelta(hours=1), clock()

    assert brought_back(now + hour, now, hour) == now + hour
    assert brought_back(now + 2 * hour, now, hour) == now
    assert brought_back(now - hour, now) == now - hour
