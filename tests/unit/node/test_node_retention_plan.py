"""What may go and what must stay, over every combination of facts."""

from dataclasses import replace
from datetime import timedelta
from itertools import product

import pytest
from node_builders import START

from dicom_node.jobs.retention import (
    DISCRETIONARY,
    AgeRule,
    HoldingKind,
    JobFacts,
    Obstacle,
    ResultFacts,
    RetentionRules,
    SeriesFacts,
    StudyFacts,
    holdings_of,
    plan,
)
from dicom_node.jobs.state import JobKind, JobState, SeriesState

DAY = timedelta(days=1)
RULES = RetentionRules(
    ages=dict.fromkeys(AgeRule, 30 * DAY),
    follow_up_window=3 * DAY,
    keep_committed=365 * DAY,
    emergency_free_bytes=1000,
)
RESULT = ResultFacts(
    result_set_id=1, created_at=START, files=3, size_bytes=30, deliveries=3, last_accepted_at=START
)
JOB = JobFacts(
    job_id=1,
    kind=JobKind.ANALYSIS,
    state=JobState.DELIVERED,
    ended_at=START,
    result=RESULT,
    summary_bytes=5,
)
SERIES = SeriesFacts(
    series_uid="1.2",
    state=SeriesState.CHOSEN,
    last_received_at=START,
    images=10,
    size_bytes=100,
    jobs=(JOB,),
)
STUDY = StudyFacts(study_uid="1", series=(SERIES,))


def studies():
    """Yield every combination of what can be true of a study with one series."""
    for state, job_state, kind in product(SeriesState, (None, *JobState), JobKind):
        for undelivered, uncommitted, deliveries in ((0, 0, 3), (1, 0, 3), (0, 1, 3), (0, 0, 0)):
            result = replace(
                RESULT,
                result_set_id=2,
                undelivered=undelivered,
                uncommitted=uncommitted,
                deliveries=deliveries,
            )
            jobs = [JOB] if kind is not JobKind.ANALYSIS else []
            if job_state is not None:
                jobs.append(replace(JOB, job_id=2, kind=kind, state=job_state, result=result))
            for held, elsewhere, committed in product((0, 1), (0, 1), (None, START)):
                series = replace(SERIES, state=state, jobs=tuple(jobs), committed_at=committed)
                yield StudyFacts(
                    study_uid="1",
                    series=(series,),
                    is_on_hold=bool(held),
                    is_used_elsewhere=bool(elsewhere),
                )


def is_at_work(study):
    """Return whether anybody may still need anything of a study."""
    (series,) = study.series
    return (
        study.is_on_hold
        or study.is_used_elsewhere
        or series.state in {SeriesState.RECEIVING, SeriesState.COMPLETE}
        or bool({job.state for job in series.jobs} & {JobState.QUEUED, JobState.ANALYZING})
    )


def is_open(job, kind, rules):
    """Return whether a job has not come to its end, as far as a kind of holding asks."""
    result = job.result
    unsent = result.undelivered or result.uncommitted
    nowhere = not rules.has_destinations and not result.deliveries
    unfinished = job.state in {JobState.FAILED, JobState.DELIVERING}
    return bool(unsent or nowhere or (unfinished and kind is not HoldingKind.RESULTS))


def needed(study, holding, rules, now):
    """Return whether anybody still needs something, in the words of the manual."""
    (series,) = study.series
    jobs = {
        HoldingKind.IMAGES: series.jobs,
        HoldingKind.RESULTS: [
            job for job in series.jobs if str(job.result.result_set_id) == holding.key
        ],
        HoldingKind.SUMMARY: [job for job in series.jobs if str(job.job_id) == holding.key],
    }[holding.kind]
    assert jobs or holding.kind is HoldingKind.IMAGES
    is_promised = (
        holding.kind is HoldingKind.IMAGES
        and series.committed_at is not None
        and now < series.committed_at + 365 * DAY
    )
    return (
        is_at_work(study) or is_promised or any(is_open(job, holding.kind, rules) for job in jobs)
    )


@pytest.mark.parametrize("free_bytes", [10**6, 0])
@pytest.mark.parametrize("has_destinations", [True, False])
@pytest.mark.parametrize("days", [1, 31, 400])
def test_nothing_goes_that_somebody_needs(days, has_destinations, free_bytes):
    """Over some ten thousand combinations, at any age, with room on the disk and without."""
    rules, now = replace(RULES, has_destinations=has_destinations), START + days * DAY
    seen = 0
    for study in studies():
        planned = plan(holdings_of(study, rules, now), rules, free_bytes=free_bytes, now=now)
        for one in planned.going:
            seen += 1
            assert not needed(study, one, rules, now), (study, one)
        listed = (*planned.going, *planned.young, *planned.kept)
        assert sorted(one.key + one.kind for one in listed) == sorted(
            one.key + one.kind for one in holdings_of(study, rules, now)
        )
    if days > 1 and has_destinations:
        assert seen


def test_what_is_free_and_old_goes_the_oldest_first():
    """Images, results and summary of a delivered study after 30 days."""
    now = START + 30 * DAY
    younger = replace(
        STUDY, study_uid="2", series=(replace(SERIES, series_uid="2.2", jobs=(), images=0),)
    )
    planned = plan(
        [*holdings_of(younger, RULES, now), *holdings_of(STUDY, RULES, now)],
        RULES,
        free_bytes=10**6,
        now=now,
    )

    assert [(one.kind, one.key) for one in planned.by_age] == [
        (HoldingKind.IMAGES, "1.2"),
        (HoldingKind.RESULTS, "1"),
        (HoldingKind.SUMMARY, "1"),
    ]
    assert (planned.young, planned.kept, planned.by_emergency) == ((), (), ())


def test_age_counts_from_the_last_thing_that_happened():
    """A result that was accepted ten days later keeps images and results ten days longer."""
    late = replace(JOB, result=replace(RESULT, last_accepted_at=START + 10 * DAY))
    study = replace(STUDY, series=(replace(SERIES, jobs=(late,)),))

    due = {one.kind: one.due_at(RULES) for one in holdings_of(study, RULES, START)}

    assert due[HoldingKind.IMAGES] == due[HoldingKind.RESULTS] == START + 40 * DAY


@pytest.mark.parametrize(
    ("series", "rule"),
    [
        (SERIES, AgeRule.ANALYSED),
        (replace(SERIES, state=SeriesState.SET_ASIDE, jobs=()), AgeRule.SET_ASIDE),
        (
            replace(SERIES, jobs=(replace(JOB, state=JobState.REJECTED, result=None),)),
            AgeRule.REJECTED,
        ),
    ],
)
def test_each_end_of_a_series_has_an_age_of_its_own(series, rule):
    """Analysed, set aside, rejected."""
    image, *_ = holdings_of(replace(STUDY, series=(series,)), RULES, START)

    assert image.rule is rule


def test_an_emergency_takes_no_more_than_it_needs():
    """Four series of 100 bytes each; 250 bytes are missing: the three oldest go."""
    now = START + 10 * DAY
    holdings = [
        one
        for number in range(4)
        for one in holdings_of(
            StudyFacts(
                study_uid=str(number),
                series=(
                    replace(
                        SERIES,
                        series_uid=f"{number}.1",
                        state=SeriesState.SET_ASIDE,
                        jobs=(),
                        last_received_at=START - number * DAY,
                    ),
                ),
            ),
            RULES,
            now,
        )
    ]

    planned = plan(holdings, RULES, free_bytes=750, now=now)

    assert [one.key for one in planned.by_emergency] == ["3.1", "2.1", "1.1"]
    assert (planned.is_emergency, planned.missing_bytes) == (True, 0)


def test_an_emergency_says_what_it_cannot_free():
    """All is on hold: the room that is missing is told, nothing goes."""
    study = replace(STUDY, is_on_hold=True)

    planned = plan(holdings_of(study, RULES, START), RULES, free_bytes=400, now=START + 400 * DAY)

    assert (planned.going, planned.missing_bytes) == ((), 600)
    assert {one.obstacle for one in planned.kept} == {Obstacle.ON_HOLD}


def test_an_age_of_zero_means_for_good_but_not_in_an_emergency():
    """A site that names no age keeps its data as long as there is room."""
    rules, now = replace(RULES, ages={}), START + 4000 * DAY
    holdings = holdings_of(STUDY, rules, now)

    assert plan(holdings, rules, free_bytes=1000, now=now).going == ()
    assert len(plan(holdings, rules, free_bytes=0, now=now).by_emergency) == 3


def test_a_scan_waits_for_its_follow_up():
    """Inside the window even an emergency leaves it; the window ends by itself."""
    inside = START + 2 * DAY
    image, *_ = holdings_of(STUDY, RULES, inside)

    assert (image.obstacle, image.until) == (Obstacle.BASELINE, START + 3 * DAY)
    assert holdings_of(STUDY, RULES, START + 3 * DAY)[0].obstacle is None


def test_what_was_promised_is_kept_as_long_as_was_promised():
    """For 365 days after the commitment, or for good."""
    study = replace(STUDY, series=(replace(SERIES, committed_at=START + DAY),))
    image, *_ = holdings_of(study, RULES, START + 300 * DAY)
    forever, *_ = holdings_of(study, replace(RULES, keep_committed=None), START + 9999 * DAY)

    assert (image.obstacle, image.until) == (Obstacle.PROMISED, START + 366 * DAY)
    assert (forever.obstacle, forever.until) == (Obstacle.PROMISED, None)
    assert holdings_of(study, RULES, START + 366 * DAY)[0].obstacle is None


def test_nobody_may_override_a_hold_a_delivery_or_a_promise():
    """What a person may decide otherwise is named, and nothing else."""
    assert {Obstacle.FAILED, Obstacle.NOWHERE, Obstacle.BASELINE} == DISCRETIONARY
