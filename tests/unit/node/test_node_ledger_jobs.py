"""The ledger from the job to the last accepted result."""

from datetime import timedelta

import pytest
from node_builders import arrive, small_series, stored_objects

from dicom_node.errors import IllegalTransitionError, LostLeaseError, UnknownEntryError
from dicom_node.intake.assembly import AssemblyRules
from dicom_node.intake.default_rules import DEFAULT_RULES
from dicom_node.jobs.delivery_ledger import Failure
from dicom_node.jobs.office import AssemblyOffice
from dicom_node.jobs.retry import RetryPolicy
from dicom_node.jobs.state import DeliveryState, JobState

POLICY = RetryPolicy(max_attempts=3, first_delay_s=30)


@pytest.fixture
def queue(ledger, clock):
    """Return the queue of a ledger with one job."""
    queue_series(ledger, clock, small_series())
    return ledger.jobs


def queue_series(ledger, clock, series, association_id="association-1"):
    arrive(ledger, series, clock, association_id=association_id)
    clock.turn(5)
    AssemblyOffice(
        ledger=ledger, assembly=AssemblyRules(), selection=DEFAULT_RULES, clock=clock
    ).tick()


def claim(queue, clock, worker="worker-0", time_limit_s=600):
    return queue.claim(worker, now=clock(), lease_s=60, time_limit_s=time_limit_s)


def complete(queue, held, clock, *, destinations=("pacs",), model="m", objects=None):
    queue.complete(
        held,
        stored_objects() if objects is None else objects,
        model_digest=model,
        configuration_digest="c",
        destinations=destinations,
        record={"volume_ml": 20.5},
        now=clock(),
    )


def job(ledger):
    return ledger.reports.overview().series[0].job


def send(ledger, clock, item_fate, destination="pacs"):
    """Claim a parcel and end each item as `item_fate` says."""
    parcel = ledger.deliveries.claim(destination, "courier", now=clock(), lease_s=60)
    for item in parcel.items:
        item_fate(item)
    return parcel


def test_a_job_is_claimed_by_one_worker_only(queue, clock):
    """The second worker finds nothing."""
    assert claim(queue, clock, "worker-0") is not None
    assert claim(queue, clock, "worker-1") is None


def test_jobs_are_taken_in_the_order_they_came(ledger, clock):
    """Nobody waits behind a later patient."""
    for number in range(3):
        queue_series(
            ledger,
            clock,
            small_series(seed=number, study_uid=f"1.2.{number}"),
            association_id=f"association-{number}",
        )

    studies = [claim(ledger.jobs, clock).task.study_instance_uid for _ in range(3)]

    assert studies == ["1.2.0", "1.2.1", "1.2.2"]


def test_two_workers_never_both_finish(queue, clock, ledger):
    """The first was thought dead and comes back: whatever it does is refused."""
    first = claim(queue, clock, "worker-0")
    clock.turn(61)
    assert queue.sweep(POLICY, clock()) == 1
    clock.turn(30)
    second = claim(queue, clock, "worker-1")

    for act in (
        lambda: complete(queue, first, clock),
        lambda: queue.reject(first, "no", record={}, now=clock()),
        lambda: queue.fail(first, "no", again_at=None, now=clock()),
        lambda: queue.renew(first, now=clock(), lease_s=60),
        lambda: queue.note_step(first, "segment", now=clock()),
    ):
        with pytest.raises(LostLeaseError):
            act()
    complete(queue, second, clock)

    assert job(ledger).state is JobState.DELIVERING
    assert len(ledger.reports.objects(second.task.job_id)) == 3
    with pytest.raises(LostLeaseError):
        complete(queue, second, clock)


def test_a_beating_worker_keeps_its_job(queue, clock):
    """The lease moves on with each beat."""
    held = claim(queue, clock)
    for _ in range(5):
        clock.turn(50)
        queue.renew(held, now=clock(), lease_s=60)

    assert queue.sweep(POLICY, clock()) == 0


def test_no_heart_beat_carries_a_job_beyond_its_time_limit(queue, clock, ledger):
    """A worker that hangs and still beats loses the job all the same."""
    held = claim(queue, clock, time_limit_s=100)
    clock.turn(50)
    queue.renew(held, now=clock(), lease_s=60)
    clock.turn(51)

    assert queue.sweep(POLICY, clock()) == 1
    assert "time limit" in job(ledger).reason


def test_a_job_that_kills_its_workers_is_given_up(queue, clock, ledger):
    """Three attempts, then it is an operator's."""
    for _ in range(3):
        assert claim(queue, clock) is not None
        clock.turn(61)
        queue.sweep(POLICY, clock())
        clock.turn(600)

    assert claim(queue, clock) is None
    assert job(ledger).state is JobState.FAILED
    assert "without a word" in job(ledger).reason


def test_a_failed_attempt_waits_before_the_next(queue, clock):
    """A fault that passes is given the time to."""
    held = claim(queue, clock)
    queue.fail(held, "broken", again_at=clock() + timedelta(seconds=30), now=clock())

    clock.turn(29)
    assert claim(queue, clock) is None
    clock.turn(1)
    assert claim(queue, clock).attempts == 2


def test_an_operator_revives_a_failed_job_only(queue, clock):
    """All attempts are given again; a job that did not fail is left alone."""
    held = claim(queue, clock)
    with pytest.raises(IllegalTransitionError):
        queue.retry(held.task.job_id, clock())
    queue.fail(held, "broken", again_at=None, now=clock())

    queue.retry(held.task.job_id, clock())

    again = claim(queue, clock)
    assert again.attempts == 1
    assert again.token > held.token
    with pytest.raises(UnknownEntryError):
        queue.retry(999, clock())


def test_without_destinations_the_results_are_at_home(queue, clock, ledger):
    """A node that sends nowhere has delivered when it is done."""
    complete(queue, claim(queue, clock), clock, destinations=())

    assert job(ledger).state is JobState.DELIVERED
    assert job(ledger).record == {"volume_ml": 20.5}


def test_results_appear_all_or_not_at_all(queue, clock, ledger):
    """A fault in the middle of the transaction leaves the job as it was."""
    held = claim(queue, clock)
    broken = (*stored_objects(), None)

    with pytest.raises(AttributeError):
        complete(queue, held, clock, objects=broken)

    assert job(ledger).state is JobState.ANALYZING
    assert ledger.reports.objects(held.task.job_id) == ()
    assert ledger.reports.overview().deliveries_by_state == {}


def test_a_repeat_of_the_same_analysis_makes_no_second_result_set(queue, clock, ledger):
    """Same input, model and configuration: the results are there already."""
    complete(queue, claim(queue, clock), clock)
    for kind in range(3):
        parcel = ledger.deliveries.claim("pacs", "c", now=clock(), lease_s=60)
        if parcel is None:
            break
        for item in parcel.items:
            ledger.deliveries.postpone(
                item, f"no {kind}", failure=Failure.REFUSED, again_at=None, now=clock()
            )
    assert job(ledger).state is JobState.FAILED
    with ledger.database.write() as session:  # as if an operator had it analysed anew
        row = session.connection().exec_driver_sql("UPDATE jobs SET state = 'queued'")
        assert row.rowcount == 1

    complete(queue, claim(queue, clock), clock)

    assert sum(ledger.reports.overview().deliveries_by_state.values()) == 3


def test_late_images_lead_to_a_result_that_supersedes(ledger, clock):
    """The second job knows the objects of the first, and its result set names it."""
    series = small_series(13)
    queue_series(ledger, clock, series[:12])
    first = claim(ledger.jobs, clock)
    complete(ledger.jobs, first, clock)
    queue_series(ledger, clock, series[12:], association_id="association-2")

    second = claim(ledger.jobs, clock)
    complete(ledger.jobs, second, clock, objects=stored_objects("2"))

    assert first.task.predecessors == ()
    assert [one.sop_instance_uid for one in second.task.predecessors] == [
        "1.2.3.1.1",
        "1.2.3.1.2",
        "1.2.3.1.3",
    ]
    assert second.task.input_digest != first.task.input_digest
    assert len(second.task.files) == 13
    assert job(ledger).supersedes == first.task.job_id


def test_two_jobs_of_one_series_never_run_side_by_side(ledger, clock):
    """The second must know what it supersedes."""
    series = small_series(13)
    queue_series(ledger, clock, series[:12])
    first = claim(ledger.jobs, clock)
    queue_series(ledger, clock, series[12:], association_id="association-2")

    assert claim(ledger.jobs, clock, "worker-1") is None
    complete(ledger.jobs, first, clock)
    assert claim(ledger.jobs, clock, "worker-1") is not None


def test_a_job_is_delivered_when_every_destination_has_every_object(queue, clock, ledger):
    """Captures, segmentation, report, in this order, to both destinations."""
    complete(queue, claim(queue, clock), clock, destinations=("pacs", "archive"))
    clock.turn(2)

    parcel = send(ledger, clock, lambda item: ledger.deliveries.accept(item, "ok", now=clock()))
    assert job(ledger).state is JobState.DELIVERING
    send(ledger, clock, lambda i: ledger.deliveries.accept(i, "ok", now=clock()), "archive")

    assert [item.kind for item in parcel.items] == ["captures", "segmentation", "report"]
    assert job(ledger).state is JobState.DELIVERED
    series = ledger.reports.overview().series[0]
    assert series.turnaround_s == 7  # five quiet seconds and two
    assert series.last_accepted_at == clock()


def test_one_courier_serves_a_destination(queue, clock, ledger):
    """The second one finds nothing, at this destination."""
    complete(queue, claim(queue, clock), clock, destinations=("pacs", "archive"))

    assert ledger.deliveries.claim("pacs", "a", now=clock(), lease_s=60) is not None
    assert ledger.deliveries.claim("pacs", "b", now=clock(), lease_s=60) is None
    assert ledger.deliveries.claim("archive", "b", now=clock(), lease_s=60) is not None


def test_what_a_dead_courier_held_is_sent_by_the_next(queue, clock, ledger):
    """What it had delivered is not sent again, and it can change nothing any more."""
    complete(queue, claim(queue, clock), clock)
    lost = ledger.deliveries.claim("pacs", "a", now=clock(), lease_s=60)
    ledger.deliveries.accept(lost.items[0], "ok", now=clock())
    clock.turn(61)

    again = ledger.deliveries.claim("pacs", "b", now=clock(), lease_s=60)

    assert [item.kind for item in again.items] == ["segmentation", "report"]
    with pytest.raises(LostLeaseError):
        ledger.deliveries.accept(lost.items[1], "ok", now=clock())
    with pytest.raises(LostLeaseError):
        ledger.deliveries.postpone(
            lost.items[1], "no", failure=Failure.UNREACHED, again_at=None, now=clock()
        )
    with pytest.raises(LostLeaseError):
        ledger.deliveries.renew(lost, now=clock(), lease_s=60)


def test_the_sweep_frees_what_a_dead_courier_held(queue, clock, ledger):
    """A destination is never blocked for longer than a lease."""
    complete(queue, claim(queue, clock), clock)
    ledger.deliveries.claim("pacs", "a", now=clock(), lease_s=60)
    clock.turn(61)

    assert ledger.deliveries.sweep(clock()) == 3
    assert ledger.reports.overview().deliveries_by_state == {DeliveryState.PENDING: 3}


def test_what_supersedes_never_overtakes(ledger, clock):
    """The second result set of a series waits until the first is through."""
    series = small_series(13)
    queue_series(ledger, clock, series[:12])
    complete(ledger.jobs, claim(ledger.jobs, clock), clock)
    send(
        ledger,
        clock,
        lambda item: ledger.deliveries.postpone(
            item,
            "away",
            failure=Failure.UNREACHED,
            again_at=clock() + timedelta(hours=1),
            now=clock(),
        ),
    )
    queue_series(ledger, clock, series[12:], association_id="association-2")
    complete(ledger.jobs, claim(ledger.jobs, clock), clock, objects=stored_objects("2"))

    assert ledger.deliveries.claim("pacs", "c", now=clock(), lease_s=60) is None
    clock.turn(3600)
    accept = lambda item: ledger.deliveries.accept(item, "ok", now=clock())  # noqa: E731 - used twice
    first = send(ledger, clock, accept)
    second = send(ledger, clock, accept)

    assert [p.items[0].sop_instance_uid for p in (first, second)] == ["1.2.3.1.1", "1.2.3.2.1"]


def test_a_dead_delivery_fails_the_job_and_an_operator_revives_it(queue, clock, ledger):
    """What was accepted stays accepted; the rest gets all its attempts again."""
    complete(queue, claim(queue, clock), clock)
    parcel = ledger.deliveries.claim("pacs", "c", now=clock(), lease_s=60)
    ledger.deliveries.accept(parcel.items[0], "ok", now=clock())
    for item in parcel.items[1:]:
        ledger.deliveries.postpone(
            item, "refused (0xC000)", failure=Failure.REFUSED, again_at=None, now=clock()
        )
    assert job(ledger).state is JobState.FAILED
    assert "2 of 3 deliveries gave up: refused (0xC000)" in job(ledger).reason

    assert ledger.deliveries.retry("pacs", clock()) == 2

    assert job(ledger).state is JobState.DELIVERING
    again = ledger.deliveries.claim("pacs", "c", now=clock(), lease_s=60)
    assert [(item.kind, item.attempts, item.refusals) for item in again.items] == [
        ("segmentation", 1, 0),
        ("report", 1, 0),
    ]
    with pytest.raises(UnknownEntryError):
        ledger.deliveries.retry("nobody", clock())


def test_retrying_a_job_whose_results_exist_only_sends_them(queue, clock, ledger):
    """The analysis is not run again for the fault of a peer."""
    complete(queue, claim(queue, clock), clock)
    send(
        ledger,
        clock,
        lambda item: ledger.deliveries.postpone(
            item, "no", failure=Failure.UNREACHED, again_at=None, now=clock()
        ),
    )

    queue.retry(job(ledger).job_id, clock())

    assert job(ledger).state is JobState.DELIVERING
    assert claim(queue, clock) is None
