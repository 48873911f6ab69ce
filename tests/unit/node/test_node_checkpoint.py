"""The thread of an outgoing association takes no answer away from whoever waits for it."""

import threading

import pytest

from dicom_node.association.checkpoint import Checkpoint

PATIENCE_S = 60.0


class Rounds(threading.Thread):
    """A thread that passes a checkpoint and then works for as long as it is told."""

    def __init__(self, kind):
        super().__init__(daemon=True)
        self.checkpoint = kind(self)
        self.has_passed, self.may_work = threading.Event(), threading.Event()
        self.is_over = False
        self.done = 0

    def run(self):
        while not self.is_over:
            self.checkpoint.wait()
            self.has_passed.set()
            self.may_work.wait(PATIENCE_S)
            self.done += 1


@pytest.fixture
def rounds():
    thread = Rounds(Checkpoint)
    thread.start()
    assert thread.has_passed.wait(PATIENCE_S)
    yield thread
    thread.is_over = True
    thread.may_work.set()
    thread.checkpoint.set()
    thread.join(PATIENCE_S)


def test_a_thread_that_has_passed_is_waited_for(rounds):
    """It ends its round first; only then whoever holds it goes on, and no other round begins."""
    holder = threading.Thread(target=rounds.checkpoint.clear, daemon=True)
    holder.start()
    holder.join(0.2)
    is_waiting = holder.is_alive()

    rounds.may_work.set()
    holder.join(PATIENCE_S)
    done = rounds.done

    assert is_waiting
    assert not holder.is_alive()
    assert done == 1
    assert rounds.done == 1


def test_a_thread_that_is_held_goes_on_when_it_is_let(rounds):
    """As often as requests are made."""
    rounds.may_work.set()
    for _ in range(50):
        rounds.checkpoint.clear()
        done = rounds.done
        rounds.has_passed.clear()
        rounds.checkpoint.set()
        assert rounds.has_passed.wait(PATIENCE_S)
        assert rounds.done >= done


def test_a_thread_that_is_let_quietly_goes_on_when_it_looks(rounds):
    """Nobody wakes it; it is not held for ever either, and holding it again works as ever."""
    rounds.may_work.set()
    for _ in range(5):
        rounds.checkpoint.clear()
        rounds.has_passed.clear()
        rounds.checkpoint.set_quietly()
        assert rounds.has_passed.wait(PATIENCE_S)
    rounds.checkpoint.clear()
    assert rounds.checkpoint.is_held


def test_nobody_waits_for_a_thread_that_has_ended(rounds):
    """An association that was aborted in its round does not hold up whoever releases it."""
    rounds.is_over = True
    rounds.may_work.set()
    rounds.join(PATIENCE_S)

    rounds.checkpoint.clear()

    assert not rounds.checkpoint.is_set()


def test_the_thread_itself_is_not_held_in_its_own_round():
    """A request that is made in answer to another one would wait for its own end."""
    checkpoint = Checkpoint(threading.current_thread())
    assert checkpoint.wait()

    checkpoint.clear()

    assert not checkpoint.is_set()
