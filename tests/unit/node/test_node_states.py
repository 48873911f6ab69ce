"""The tables of states."""

from itertools import product

import pytest

from dicom_node.errors import IllegalTransitionError
from dicom_node.jobs.state import (
    DELIVERY_TRANSITIONS,
    JOB_TRANSITIONS,
    SERIES_TRANSITIONS,
    DeliveryState,
    JobState,
    SeriesState,
    move_delivery,
    move_job,
    move_series,
)

#: Written by hand from the description of the node, not from its tables.
SERIES_MOVES = {
    ("receiving", "complete"),
    ("receiving", "set_aside"),
    ("complete", "receiving"),
    ("complete", "chosen"),
    ("complete", "set_aside"),
    ("chosen", "receiving"),
    ("set_aside", "receiving"),
    ("set_aside", "complete"),
}
JOB_MOVES = {
    ("queued", "analyzing"),
    ("queued", "withdrawn"),
    ("analyzing", "queued"),
    ("analyzing", "delivering"),
    ("analyzing", "rejected"),
    ("analyzing", "failed"),
    ("delivering", "delivered"),
    ("delivering", "failed"),
    ("failed", "queued"),
    ("failed", "delivering"),
}
DELIVERY_MOVES = {
    ("pending", "sending"),
    ("sending", "pending"),
    ("sending", "accepted"),
    ("sending", "dead"),
    ("dead", "pending"),
    ("accepted", "committed"),
    ("accepted", "pending"),
    ("accepted", "dead"),
    ("pending", "cancelled"),
    ("dead", "cancelled"),
    ("pending", "committed"),
    ("dead", "committed"),
}


@pytest.mark.parametrize(
    ("states", "transitions"),
    [
        (SeriesState, SERIES_TRANSITIONS),
        (JobState, JOB_TRANSITIONS),
        (DeliveryState, DELIVERY_TRANSITIONS),
    ],
)
def test_every_state_has_a_row(states, transitions):
    """No state can be reached that nobody thought about."""
    assert set(transitions) == set(states)


@pytest.mark.parametrize(
    ("states", "move", "moves"),
    [
        (SeriesState, move_series, SERIES_MOVES),
        (JobState, move_job, JOB_MOVES),
        (DeliveryState, move_delivery, DELIVERY_MOVES),
    ],
)
def test_only_listed_moves_are_made(states, move, moves):
    """Every pair of states is tried against a table written by hand."""
    for current, to in product(states, repeat=2):
        if (current.value, to.value) in moves:
            assert move(current, to) is to
        else:
            with pytest.raises(IllegalTransitionError):
                move(current, to)


def test_stored_values_never_change():
    """The values are in ledgers of running nodes."""
    assert [state.value for state in SeriesState] == [
        "receiving",
        "complete",
        "chosen",
        "set_aside",
    ]
    assert [state.value for state in JobState] == [
        "queued",
        "analyzing",
        "delivering",
        "delivered",
        "rejected",
        "withdrawn",
        "failed",
    ]
    assert [state.value for state in DeliveryState] == [
        "pending",
        "sending",
        "accepted",
        "dead",
        "committed",
        "cancelled",
    ]
