"""Counts in the ledger: exact, and as old as the ledger."""

import pytest
from node_builders import Clock, CrashError, arrive, opened_ledger, small_series

from dicom_node.jobs.tally import (
    DOOR_BOUNDS_S,
    Tallied,
    Tally,
    count,
    count_steps,
    observe_door,
)


def values(ledger, tally):
    """Return the counts of one tally by their labels."""
    return {
        tuple(sorted(one.labels.items())): one.value
        for one in ledger.tallies.read()
        if one.tally is tally
    }


def test_a_count_rises_per_set_of_labels(ledger):
    """Two of one outcome and one of another, whatever the order of the labels."""
    with ledger.database.write() as session:
        count(session, Tally.DELIVERY_ATTEMPTS, destination="pacs", outcome="accepted")
        count(session, Tally.DELIVERY_ATTEMPTS, outcome="accepted", destination="pacs")
        count(session, Tally.DELIVERY_ATTEMPTS, destination="pacs", outcome="refused")

    assert values(ledger, Tally.DELIVERY_ATTEMPTS) == {
        (("destination", "pacs"), ("outcome", "accepted")): 2.0,
        (("destination", "pacs"), ("outcome", "refused")): 1.0,
    }


def test_what_is_undone_was_not_counted(ledger):
    """A count stands and falls with its transaction."""

    def cut_off():
        with ledger.database.write() as session:
            count(session, Tally.LOST_LEASES, of="job")
            raise CrashError

    with pytest.raises(CrashError):
        cut_off()

    assert ledger.tallies.read() == ()


def test_counts_outlive_the_process(tmp_path):
    """The next process goes on where the last one stopped."""
    for _ in range(2):
        with opened_ledger(tmp_path / "ledger.sqlite") as ledger:
            ledger.tallies.add(
                [Tallied(tally=Tally.ASSOCIATIONS, labels={"outcome": "accepted"}, value=3)]
            )

    with opened_ledger(tmp_path / "ledger.sqlite") as ledger:
        assert values(ledger, Tally.ASSOCIATIONS) == {(("outcome", "accepted"),): 6.0}


@pytest.mark.parametrize(
    ("seconds", "bound"), [(0.0, "10"), (10.0, "10"), (10.1, "20"), (86400.5, "+Inf")]
)
def test_a_time_falls_into_the_first_bucket_whose_bound_it_does_not_exceed(ledger, seconds, bound):
    """As Prometheus defines `le`: less than or equal."""
    with ledger.database.write() as session:
        observe_door(session, seconds)

    assert values(ledger, Tally.DOOR_TO_RESULT) == {(("le", bound),): 1.0}
    assert values(ledger, Tally.DOOR_TO_RESULT_SECONDS) == {(): seconds}


def test_the_bounds_rise():
    """Or a time would fall into the wrong bucket."""
    assert list(DOOR_BOUNDS_S) == sorted(set(DOOR_BOUNDS_S))


def test_steps_of_a_record_are_added_up(ledger):
    """What is no number is left out: a record comes from an analyst."""
    with ledger.database.write() as session:
        count_steps(session, "analysis", {"segment": 2.5, "explain": "soon"})
        count_steps(session, "analysis", {"segment": 1.5})
        count_steps(session, "analysis", None)

    key = (("kind", "analysis"), ("step", "segment"))
    assert values(ledger, Tally.STEP_SECONDS) == {key: 4.0}
    assert values(ledger, Tally.STEPS) == {key: 2.0}


def test_every_instance_is_counted_with_what_became_of_it(ledger):
    """Twelve new ones, then the same twelve again."""
    clock, series = Clock(), small_series(slices=12)
    arrive(ledger, series, clock)
    arrive(ledger, series, clock)

    assert values(ledger, Tally.INSTANCES) == {
        (("outcome", "repeated"),): 12.0,
        (("outcome", "stored"),): 12.0,
    }
