"""Which scans of a patient are compared: hours in, pairs out."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest

from dicom_node.jobs.pairing import AnalyzedScan, PairingRules, interval_of, pairs_of

ADMISSION = datetime(2026, 1, 5, 8, 0)  # noqa: DTZ001 - most scanners name no time zone
EAST = timezone(timedelta(hours=8))
RULES = PairingRules(window=timedelta(hours=72), minimum_interval=timedelta(hours=1))


def scan(job_id, hours, *, series_uid=None, has_hematoma=True):
    return AnalyzedScan(
        job_id=job_id,
        series_uid=series_uid or f"1.2.{job_id}",
        acquired_at=None if hours is None else ADMISSION + timedelta(hours=hours),
        has_hematoma=has_hematoma,
    )


def pairs(*scans):
    return [(pair.baseline.job_id, pair.follow_up.job_id) for pair in pairs_of(scans, RULES)]


def test_every_later_scan_is_compared_to_the_first():
    """Growth in two steps is measured from its beginning."""
    assert pairs(scan(1, 0), scan(2, 6), scan(3, 24)) == [(1, 2), (1, 3)]


def test_a_follow_up_that_was_sent_first_is_still_the_follow_up():
    """The time of acquisition decides, not the order of arrival."""
    assert pairs(scan(1, 6), scan(2, 0)) == [(2, 1)]


def test_outside_the_window_the_baseline_moves_on():
    """At 100 h the scans of 0 h and 20 h are too old; that of 40 h is the earliest one left."""
    assert pairs(scan(1, 0), scan(2, 20), scan(3, 40), scan(4, 100)) == [(1, 2), (1, 3), (3, 4)]


def test_both_ends_of_the_window_belong_to_it():
    """72 h and 1 h are pairs; a minute more, a minute less are none."""
    minute = 1 / 60

    assert pairs(scan(1, 0), scan(2, 72)) == [(1, 2)]
    assert pairs(scan(1, 0), scan(2, 1)) == [(1, 2)]
    assert pairs(scan(1, 0), scan(2, 72 + minute)) == []
    assert pairs(scan(1, 0), scan(2, 1 - minute)) == []


def test_two_series_of_one_examination_are_no_pair():
    """Thick and thin slices of one scan: each is compared to the next day's, not to each other."""
    assert pairs(scan(1, 0), scan(2, 0), scan(3, 24)) == [(1, 3)]


def test_only_the_last_analysis_of_a_series_counts():
    """Late images had the baseline analysed again; that analysis is the baseline now."""
    first, again, later = scan(1, 0, series_uid="1.9"), scan(3, 0, series_uid="1.9"), scan(2, 24)

    assert pairs(first, later, again) == [(3, 2)]


def test_a_scan_without_time_is_in_no_pair():
    """Nobody can say which came first."""
    assert pairs(scan(1, None), scan(2, 24)) == []


def test_two_scans_without_blood_are_no_pair():
    """Blood in one of them is enough: it may be new, or gone."""
    empty, bleeding = scan(1, 0, has_hematoma=False), scan(2, 24)

    assert pairs(empty, scan(2, 24, has_hematoma=False)) == []
    assert pairs(empty, bleeding) == [(1, 2)]


def test_zones_count_where_both_name_them():
    """10:00 in UTC+8 is six hours before 8:00 in UTC; without one zone both are one clock."""
    east = ADMISSION.replace(hour=10, tzinfo=EAST)
    west = ADMISSION.replace(hour=8, tzinfo=UTC)

    assert interval_of(east, west) == timedelta(hours=6)
    assert interval_of(east.replace(tzinfo=None), west) == timedelta(hours=-2)


def test_the_earliest_is_the_earliest_wherever_its_clock_stood():
    """9:00 in UTC+8 is before 8:00 in UTC, whatever the clocks on the wall show."""
    east = replace(scan(1, 0), acquired_at=datetime(2026, 1, 5, 9, tzinfo=EAST))
    west = replace(scan(2, 0), acquired_at=datetime(2026, 1, 5, 8, tzinfo=UTC))
    later = replace(scan(3, 0), acquired_at=datetime(2026, 1, 6, 8, tzinfo=UTC))

    assert pairs(west, east, later) == [(1, 2), (1, 3)]


@pytest.mark.parametrize("hours", [(0, 72), (-1, 72), (73, 72)])
def test_rules_that_pair_nothing_are_refused(hours):
    """A shortest interval of nothing would pair two series of one scan."""
    shortest, longest = (timedelta(hours=value) for value in hours)

    with pytest.raises(ValueError, match="minimum_interval"):
        PairingRules(window=longest, minimum_interval=shortest)
