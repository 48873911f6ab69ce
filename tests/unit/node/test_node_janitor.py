"""The office purges in small turns, makes room in time, and does not trust a clock that leaps."""

from dataclasses import replace
from datetime import timedelta

import pytest
from node_builders import small_series
from retention_builder import AT_ONCE, DAY_S, RetentionSite

from dicom_node.delivery.janitor import STANDING, Janitor, standing_of, words_of
from dicom_node.jobs.documents import Documents
from dicom_node.jobs.purge_ledger import Cause
from dicom_node.jobs.retention import AgeRule
from dicom_node.jobs.study_holds import StudyHolds

MONTH = replace(AT_ONCE, ages=dict.fromkeys(AgeRule, timedelta(days=30)))


class Seconds:
    """A clock that never leaps."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


class Office:
    """A site whose janitor is called by hand; wall clock and seconds go together, or do not."""

    def __init__(self, site, rules):
        self.site, self.seconds = site, Seconds()
        self.documents = Documents(site.ledger.database)
        self.janitor = Janitor(
            purger=site.purger,
            rules=rules,
            documents=self.documents,
            clock=site.clock,
            monotonic=self.seconds,
        )

    def work(self, seconds):
        """Let time go by, and the janitor look now and then."""
        for _ in range(10):
            self.seconds.now += seconds / 10
            self.site.clock.turn(seconds / 10)
            self.janitor.tick()

    @property
    def standing(self):
        return standing_of(self.documents.read(STANDING))


@pytest.fixture
def site(tmp_path, ledger, clock):
    return RetentionSite(tmp_path, ledger, clock)


def test_what_is_old_enough_goes_by_itself(site):
    """After 30 days, not before."""
    site.finished(slices=10)
    office = Office(site, MONTH)

    office.work(28 * DAY_S)
    assert len(site.files()) == 14

    office.work(3 * DAY_S)
    assert site.files() == []
    assert office.standing.kept == {}


def test_a_site_without_retention_keeps_everything_but_ends_what_was_begun(site, monkeypatch):
    """A purge by hand that was killed is finished; nothing else goes."""
    series = site.finished(slices=10)
    site.finished(small_series(10, seed=2, study_uid="1.2.9"))
    study = series[0].StudyInstanceUID
    monkeypatch.setattr(site.purger.__class__, "_erase", lambda *_: 0)
    by_hand = [one for one in site.purger.holdings(AT_ONCE) if one.study_uid == study]
    site.purger.purge(by_hand, AT_ONCE, cause=Cause.OPERATOR)
    monkeypatch.undo()

    Office(site, None).work(4000 * DAY_S)

    assert len(site.files()) == 14


def test_an_emergency_makes_room_at_once(site):
    """Two studies a day apart; the older one is enough."""
    older = site.finished(slices=10)
    younger = site.finished(small_series(10, seed=2, study_uid="1.2.9"))
    size = sum(one.size_bytes for one in site.purger.holdings(MONTH))
    office = Office(site, replace(MONTH, emergency_free_bytes=10_000_000))
    site.disk.free = 10_000_000 - size // 2

    office.work(60)

    def purged_at(series):
        return site.ledger.reports.series(series[0].SeriesInstanceUID).purged_at

    assert purged_at(older) is not None
    assert purged_at(younger) is None
    assert (office.standing.is_emergency, office.standing.missing_bytes) == (True, 0)


def test_an_emergency_in_which_nothing_may_go_is_told(site):
    """All is on hold: an operator must know, and know where to look."""
    series = site.finished(slices=10)
    StudyHolds(site.ledger.database).hold(
        series[0].StudyInstanceUID, "why", by="jane", now=site.clock()
    )
    office = Office(site, replace(MONTH, emergency_free_bytes=2000))
    site.disk.free = 500

    office.work(60)

    assert len(site.files()) == 14
    assert office.standing.missing_bytes == 1500
    assert set(office.standing.kept) == {"on_hold"}
    assert "ichnode retention plan" in words_of(office.standing)[0]


def test_a_clock_that_leaps_purges_nothing_by_age(site):
    """A year ahead in a minute is a fault of the clock; after twelve hours it is believed."""
    site.finished(slices=10)
    office = Office(site, MONTH)
    office.work(60)

    site.clock.turn(365 * DAY_S)
    office.work(3600)
    assert len(site.files()) == 14

    office.work(DAY_S)
    assert site.files() == []


def test_a_leap_does_not_make_an_emergency_greedy(site):
    """Room is made, but what seems old by the new clock is not purged with it."""
    site.finished(slices=10)
    site.finished(small_series(10, seed=2, study_uid="1.2.9"))
    size = sum(one.size_bytes for one in site.purger.holdings(MONTH))
    office = Office(site, replace(MONTH, emergency_free_bytes=10_000_000))
    office.work(60)

    site.clock.turn(365 * DAY_S)
    site.disk.free = 10_000_000 - size // 2
    office.work(60)

    assert 0 < len(site.files()) < 28
