"""What is to be seen on the terminal while a study goes on."""

import io

import pytest
from rich.console import Console

from training.study.outcome import Outcome
from training.study.progress_view import ProgressView
from training.study.stage import Stage, StageResult, StageState


class Hand:
    """A clock that is set by hand."""

    def __init__(self):
        self.seconds = 0.0

    def __call__(self):
        return self.seconds


@pytest.fixture
def stage():
    return Stage(
        name="benchmark",
        title="Benchmark",
        shows="",
        version=1,
        choices=lambda _: None,
        run=lambda _: Outcome(headline=""),
    )


@pytest.fixture
def screen():
    return io.StringIO()


def view_on(screen, stage, clock):
    console = Console(file=screen, force_terminal=True, width=160, color_system=None)
    return ProgressView([stage], {"benchmark": 12.0}, console, clock=clock)


def test_a_stage_that_waits_shows_what_it_is_expected_to_take(screen, stage):
    """By the budget."""
    with view_on(screen, stage, Hand()):
        pass

    assert "~12 min" in screen.getvalue()


def test_a_stage_under_way_is_reckoned_from_its_share(screen, stage):
    """A quarter in 3 minutes is 12 minutes; a fortieth says nothing yet, so the budget's 12."""
    clock = Hand()
    with view_on(screen, stage, clock) as view:
        view.begins(stage)
        clock.seconds = 60.0
        view.follow(stage, "epoch 1", 0.025)
        view._bars.refresh()
        early = screen.getvalue()
        clock.seconds = 240.0
        view.follow(stage, "epoch 4", 0.25)

    assert "1.0 of ~12 min" in early
    assert "4.0 of ~16 min" in screen.getvalue()


def test_a_stage_that_cannot_be_done_says_why(screen, stage):
    """In one line that stays; words of others are no markup."""
    result = StageResult(name="benchmark", state=StageState.IMPOSSIBLE, reason="no [bold] scan")

    with view_on(screen, stage, Hand()) as view:
        view.begins(stage)
        view.ends(stage, result)

    assert "Benchmark: not possible. no [bold] scan" in screen.getvalue()


def test_a_result_of_an_earlier_call_is_called_cached(screen, stage):
    """With its headline."""
    result = StageResult(
        name="benchmark",
        state=StageState.DONE,
        outcome=Outcome(headline="Dice 0.9"),
        seconds=120.0,
        is_cached=True,
    )

    with view_on(screen, stage, Hand()) as view:
        view.begins(stage)
        view.ends(stage, result)

    assert "Benchmark: cached. Dice 0.9" in screen.getvalue()
    assert "2.0 min" in screen.getvalue()
