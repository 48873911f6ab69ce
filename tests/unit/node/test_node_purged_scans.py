"""What was purged is compared with nothing, and fetched again like what never came."""

from datetime import datetime, timedelta
from pathlib import Path

import pytest
from node_builders import START, small_series
from site_builder import ADMISSION, COMPARE, LATER, NEXT_DAY, Site, scan

from dicom_node.errors import IllegalTransitionError
from dicom_node.jobs.planning import PURGED, PlanningRules
from dicom_node.jobs.prior_ledger import PriorSearch
from dicom_node.jobs.purge_ledger import Cause, PurgeLedger
from dicom_node.jobs.rerun import Rerun
from dicom_node.jobs.retention import HoldingKind, Obstacle, RetentionRules
from dicom_node.jobs.state import JobKind, JobState
from dicom_node.jobs.tables import SeriesRow

NO_WINDOW = RetentionRules(follow_up_window=timedelta(0))
WITH_WINDOW = RetentionRules(follow_up_window=timedelta(hours=72))


@pytest.fixture
def site(ledger, clock):
    return Site(ledger, clock, COMPARE)


@pytest.fixture
def purges(ledger):
    return PurgeLedger(ledger.database)


def images_of(purges, clock, study, rules=NO_WINDOW):
    """Return the images of a study, as retention sees them."""
    held = purges.holdings(rules, clock(), summary_bytes=lambda _: 0, study_uid=study)
    return [one for one in held if one.kind is HoldingKind.IMAGES]


def purge(purges, clock, study):
    (images,) = images_of(purges, clock, study)
    assert purges.condemn(images, NO_WINDOW, clock(), cause=Cause.AGE)
    assert purges.erase(HoldingKind.IMAGES, lambda paths: paths) > 0


def test_a_scan_is_kept_while_a_follow_up_may_come(site, purges, clock):
    """Inside the window of comparisons, from its last image on."""
    site.analyze(scan(1), ADMISSION)

    (image,) = images_of(purges, clock, "1.2.1", WITH_WINDOW)
    clock.turn(72 * 3600)
    (later,) = images_of(purges, clock, "1.2.1", WITH_WINDOW)

    assert image.obstacle is Obstacle.BASELINE
    assert image.until == START + timedelta(hours=72)
    assert later.obstacle is None


def test_a_baseline_is_kept_while_its_comparison_waits(site, purges, clock):
    """The comparison belongs to another study, and reads these images."""
    site.analyze(scan(1), ADMISSION)
    site.analyze(scan(2), NEXT_DAY)

    (image,) = images_of(purges, clock, "1.2.1")

    assert image.obstacle is Obstacle.IN_WORK
    site.complete(site.claim())
    (image,) = images_of(purges, clock, "1.2.1")
    assert image.obstacle is None


def test_a_scan_is_kept_while_earlier_ones_are_sought_for_it(ledger, clock, purges):
    """The search reads one of its images to know whom to ask for."""
    Site(ledger, clock, PlanningRules(prior_peers=("pacs",))).analyze(scan(1), NEXT_DAY)

    (image,) = images_of(purges, clock, "1.2.1")

    assert image.obstacle is Obstacle.IN_WORK


def test_a_purged_baseline_is_not_compared_and_the_series_says_so(site, purges, clock, ledger):
    """No job is made that could only fail."""
    site.analyze(scan(1), ADMISSION)
    purge(purges, clock, "1.2.1")

    task = site.analyze(scan(2), NEXT_DAY)

    assert site.jobs(JobKind.COMPARISON) == []
    told = [entry.text for entry in ledger.reports.timeline(task.series_instance_uid)]
    assert PURGED in told


def test_a_purged_baseline_that_comes_again_is_compared(site, purges, clock):
    """Its second receipt is analysed again, and pairs are looked for anew."""
    site.analyze(scan(1), ADMISSION)
    purge(purges, clock, "1.2.1")
    site.analyze(scan(2), NEXT_DAY)

    site.analyze(scan(1), ADMISSION)

    ((baseline, follow_up, state),) = site.jobs(JobKind.COMPARISON)
    assert (baseline, follow_up, state) == (3, 2, JobState.QUEUED)


def test_a_purged_scan_is_asked_for_again(site, purges, clock, ledger):
    """A search counts it among what is not here."""
    series = scan(1)
    site.analyze(series, ADMISSION)
    search = PriorSearch(
        search_id=7,
        series_uid="1.2.3",
        study_uid="1.2.3",
        acquired_at=datetime.fromisoformat(LATER),
        image=Path("x"),
        attempts=1,
    )
    uid = series[0].SeriesInstanceUID
    assert ledger.priors.known_series(search, [uid]) == {uid}
    assert ledger.priors.known_studies(search, ["1.2.1"]) == {"1.2.1"}

    purge(purges, clock, "1.2.1")

    assert ledger.priors.known_series(search, [uid]) == frozenset()
    assert ledger.priors.known_studies(search, ["1.2.1"]) == frozenset()


def test_a_purged_study_cannot_be_analysed_again_by_hand(site, purges, clock, ledger):
    """The operator is told why."""
    site.analyze(scan(1), ADMISSION)
    purge(purges, clock, "1.2.1")

    with pytest.raises(IllegalTransitionError, match="purged"):
        Rerun(database=ledger.database).study("1.2.1", by="jane", now=clock())


def test_a_series_that_was_set_aside_may_go_and_steps_in_no_more(site, purges, clock, ledger):
    """It had lost to another one; without its images it cannot take that one's place."""
    site.analyze(
        [*small_series(12, study_uid="1.2.5"), *small_series(12, seed=8, study_uid="1.2.5")],
        ADMISSION,
    )
    held = images_of(purges, clock, "1.2.5")

    assert sorted(one.rule.value for one in held) == ["analysed", "set_aside"]
    (aside,) = (one for one in held if one.rule.value == "set_aside")
    assert purges.condemn(aside, NO_WINDOW, clock(), cause=Cause.AGE)
    assert ledger.reports.series(aside.series_uid).purged_at == clock()
    with ledger.database.read() as session:
        assert not session.get_one(SeriesRow, aside.series_uid).eligible
