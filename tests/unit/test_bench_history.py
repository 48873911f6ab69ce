"""The history of `make bench`: what counts as a regression, and what as chance."""

import argparse
import json

import pytest

from tests.bench.history import changes, compare, figures_of, is_rate, read, remember

MACHINE = {"processor": "one", "cores": 2, "python": "3.11"}


def run(*, machine=MACHINE, settings=(), **figures):
    """Return a run as the history holds it."""
    return {
        "at": "2026-01-05T08:30:00+00:00",
        "commit": "abc",
        "machine": machine,
        "load": [0.1],
        "settings": dict(settings),
        "figures": figures,
    }


def worse(*runs):
    return [change.figure for change in changes(runs) if change.is_regression]


def test_a_time_that_rose_beyond_the_noise_is_a_regression():
    """1.0 s three times with 2 % of spread, then 1.5 s."""
    before = [run(time=[0.98, 1.0, 1.02])] * 3

    assert worse(*before, run(time=[1.5, 1.5, 1.5])) == ["time"]
    assert worse(*before, run(time=[1.1, 1.1, 1.1])) == []
    assert worse(*before, run(time=[0.5, 0.5, 0.5])) == []


def test_noise_of_earlier_runs_is_not_a_regression():
    """Times that lie between 0.5 and 1.5 s by themselves say nothing at 1.5 s."""
    before = [run(time=[0.5, 1.0, 1.5])] * 3

    assert worse(*before, run(time=[1.5])) == []


def test_a_rate_that_fell_is_a_regression():
    """100 images in a second, then 50; and not the other way round."""
    rate = "receive|figures|images/s, 4 cheap senders|ichnode (durable)"

    assert worse(run(**{rate: [100.0]}), run(**{rate: [50.0]})) == [rate]
    assert worse(run(**{rate: [50.0]}), run(**{rate: [100.0]})) == []


@pytest.mark.parametrize(
    ("figure", "expected"),
    [
        ("receive|figures|C-ECHO/s|ichnode (durable)", True),
        ("line|figures|10 x 30 slices, 4 sender(s): series/min|ichnode", True),
        ("line|figures|page /studies under load, ms|ichnode", False),
        ("steps|figures|segment, s|30 slices", False),
    ],
)
def test_rates_are_told_from_times(figure, expected):
    """More is better of the one, less of the other."""
    assert is_rate(figure) is expected


def test_another_machine_and_other_settings_are_no_measure():
    """A laptop is not set beside a server, 30 slices not beside 300."""
    other = run(machine=MACHINE | {"cores": 64}, time=[0.1])
    longer = run(settings={"lengths": "[300]"}, time=[0.1])

    assert changes([other, longer, run(time=[1.0])]) == []


def test_figures_are_lists_of_numbers_and_ratios():
    """Whatever a part of the bench returns is told by its path."""
    results = {
        "start": {"unit": "s", "times": {"help": [0.1, 0.2]}, "median_ratios": {"help": 2.0}},
        "receive": {"images": 100, "figures": {"RSS MB": {"peer": [5]}}},
    }

    assert dict(figures_of(results)) == {
        "start|times|help": [0.1, 0.2],
        "start|median_ratios|help": [2.0],
        "receive|figures|RSS MB|peer": [5.0],
    }


def test_a_run_is_remembered_and_compared(tmp_path, capsys):
    """Two runs through the file: the second is slower, told, drawn, and the command fails."""
    history = tmp_path / "history.jsonl"
    for seconds in ([1.0, 1.0, 1.0], [2.0, 2.0, 2.0]):
        remember(history, {"start": {"times": {"help": seconds}}}, {"repetitions": "3"}, [0.5])

    code = compare(argparse.Namespace(output=tmp_path))

    assert code == 1
    assert "REGRESSION" in capsys.readouterr().out
    assert (tmp_path / "history.png").stat().st_size > 0
    assert json.loads(history.read_text().splitlines()[0])["load"] == [0.5]
    assert len(read(history)) == 2


def test_without_a_history_there_is_nothing_to_compare(tmp_path):
    """The first run is a beginning, not a regression."""
    assert compare(argparse.Namespace(output=tmp_path)) == 0
