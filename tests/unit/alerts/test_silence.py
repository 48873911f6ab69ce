"""Silence alarms: hours without images, at the hours of the day at which they are expected."""

from datetime import datetime, timedelta, timezone

import pytest

from dicom_node.alerts.silence import Expectation, silences

ZONE = timezone(timedelta(hours=1))
LONG_AGO = datetime(2025, 12, 1, tzinfo=ZONE)


def at(hour, minute=0, day=5):
    return datetime(2026, 1, day, hour, minute, tzinfo=ZONE)


def alarms(expectation, *, last, now, node_since=LONG_AGO):
    heard = {} if last is None else {"CT1": last}
    return [
        alert.key
        for alert in silences([expectation], last_image_at=heard, node_since=node_since, now=now)
    ]


ALWAYS = Expectation(caller="CT1", hours=2)
BY_DAY = Expectation(caller="CT1", hours=2, from_hour=7, to_hour=20)
BY_NIGHT = Expectation(caller="CT1", hours=2, from_hour=22, to_hour=6)


@pytest.mark.parametrize(
    ("expectation", "last", "now", "alarmed"),
    [
        (ALWAYS, at(8), at(10), False),  # two hours are not more than two hours
        (ALWAYS, at(8), at(10, 1), True),
        (ALWAYS, at(23, day=4), at(1, 30), True),  # over midnight
        (BY_DAY, at(19, day=4), at(8, 59), False),  # the night does not count
        (BY_DAY, at(19, day=4), at(9, 1), True),
        (BY_DAY, at(8), at(21), False),  # outside the hours
        (BY_DAY, at(8), at(20), False),  # to_hour is the end
        (BY_NIGHT, at(21), at(23, 30), False),
        (BY_NIGHT, at(21), at(0, 1, day=6), True),
        (BY_NIGHT, at(21, day=4), at(5, 30), True),
        (BY_NIGHT, at(4), at(5, 30), False),
        (BY_NIGHT, at(4), at(7), False),
    ],
)
def test_silence_alarms_after_its_hours(expectation, last, now, alarmed):
    """Counted by hand from the clock."""
    assert alarms(expectation, last=last, now=now) == (["silence:CT1"] if alarmed else [])


def test_a_caller_that_never_sent_is_silent_too():
    """A wrong AE title at the scanner looks like this."""
    assert alarms(ALWAYS, last=None, now=at(12)) == ["silence:CT1"]


def test_a_node_that_was_off_blames_nobody():
    """Silence counts from its start."""
    assert alarms(ALWAYS, last=at(3), now=at(12), node_since=at(11)) == []


@pytest.mark.parametrize(
    "wrong",
    [{"hours": 0}, {"from_hour": 24}, {"to_hour": 0}, {"from_hour": 7, "to_hour": 7}],
)
def test_hours_that_are_no_span_are_refused(wrong):
    """The settings say so first; this is the last line."""
    with pytest.raises(ValueError, match="hour"):
        Expectation(**{"caller": "CT1", "hours": 2.0, **wrong})
