"""Peers are tried beside the requests: a few at a time, each step seen at once."""

import threading

import pytest

from dicom_node.association.peer_trial import TrialStep
from dicom_node.errors import PeerError
from dicom_node.web.trial_room import TrialRoom, TrialRoomFullError

PATIENCE_S = 60


def step(name, *, ok=True):
    return TrialStep(name=name, ok=ok, found="")


class Held:
    """A trial that waits between two steps until it is let go."""

    def __init__(self):
        self.began, self.go = threading.Event(), threading.Event()

    def __call__(self, told):
        told(step("connection"))
        self.began.set()
        assert self.go.wait(PATIENCE_S)
        told(step("C-ECHO"))
        return ()


@pytest.fixture
def held():
    one = Held()
    yield one
    one.go.set()


def names(view):
    return [one.name for one in view.steps]


def test_steps_are_seen_while_the_next_one_is_awaited(held):
    """The first is there before the second is done."""
    room = TrialRoom()

    number = room.start("pacs", held)
    assert held.began.wait(PATIENCE_S)
    early = room.look(number)
    held.go.set()
    late = room.wait(number)

    assert (names(early), early.is_over) == (["connection"], False)
    assert (names(late), late.is_over, late.fault) == (["connection", "C-ECHO"], True, "")


def test_there_is_room_for_a_few(held):
    """Another one is told to wait, and may begin when one has ended."""
    room = TrialRoom(at_most=1)
    number = room.start("pacs", held)

    with pytest.raises(TrialRoomFullError, match="1 tests are under way"):
        room.start("vna", held)
    held.go.set()
    room.wait(number)

    assert room.wait(room.start("vna", held)).is_over


def test_a_trial_that_breaks_off_says_why():
    """What was done until then stays."""
    room = TrialRoom()

    def broken(told):
        told(step("connection"))
        raise PeerError("no key file")

    view = room.wait(room.start("pacs", broken))

    assert (names(view), view.fault) == (["connection"], "no key file")


def test_old_trials_are_forgotten():
    """The last fifty can be looked at."""
    room = TrialRoom()

    numbers: list[int] = []
    for _ in range(60):
        numbers.append(room.start("pacs", lambda _: ()))
        room.wait(numbers[-1])

    assert room.look(numbers[0]) is None
    assert room.wait(numbers[0]) is None
    assert room.look(numbers[-1]).is_over
