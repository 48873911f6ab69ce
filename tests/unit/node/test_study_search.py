"""Studies are found by what people know of them, a page at a time, and analysed again."""

from datetime import timedelta

import pytest
from node_builders import arrive, small_series, stored_objects

from dicom_node.errors import IllegalTransitionError, UnknownEntryError
from dicom_node.intake.assembly import AssemblyRules
from dicom_node.intake.default_rules import DEFAULT_RULES
from dicom_node.jobs.office import AssemblyOffice
from dicom_node.jobs.rerun import Rerun
from dicom_node.jobs.state import JobState
from dicom_node.jobs.study_search import StudyQuery, StudySearch


def came(ledger, clock, seed):
    """Let one study arrive and be chosen; return its UID."""
    series = small_series(seed=seed)
    arrive(ledger, series, clock, association_id=f"association-{seed}")
    clock.turn(20)
    AssemblyOffice(
        ledger=ledger, assembly=AssemblyRules(), selection=DEFAULT_RULES, clock=clock
    ).tick()
    clock.turn(20)
    AssemblyOffice(
        ledger=ledger, assembly=AssemblyRules(), selection=DEFAULT_RULES, clock=clock
    ).tick()
    return str(series[0].StudyInstanceUID)


def analysed(ledger, clock, *, status="hematoma_found", destinations=("pacs",), model="m"):
    """Let the next job be analysed; return its number."""
    held = ledger.jobs.claim("w", now=clock(), lease_s=60, time_limit_s=60)
    ledger.jobs.complete(
        held,
        stored_objects(str(held.task.job_id)),
        model_digest=model,
        configuration_digest="c",
        destinations=destinations,
        record={"status": status},
        now=clock(),
    )
    return held.task.job_id


def delivered(ledger, clock):
    """Let everything that waits be accepted."""
    while True:
        held = ledger.deliveries.claim("pacs", "office", now=clock(), lease_s=60)
        if not held:
            return
        for item in held.items:
            ledger.deliveries.accept(item, "Success", now=clock())


@pytest.fixture
def studies(ledger, clock):
    """Return two studies: the first analysed with a hematoma, the second waiting."""
    first = came(ledger, clock, 1)
    job = analysed(ledger, clock)
    second = came(ledger, clock, 2)
    return first, second, job


def found(ledger, **wanted):
    page = StudySearch(ledger.database).find(StudyQuery(**wanted))
    assert page.total == len(page.studies)
    return [one.study_instance_uid for one in page.studies]


def test_the_latest_study_comes_first(ledger, studies):
    """Without a filter everything is found."""
    first, second, _ = studies

    assert found(ledger) == [second, first]


def test_each_filter_finds_what_it_says(ledger, studies, clock):
    """By UID, job, state, outcome, sender and time."""
    first, second, job = studies
    series = StudySearch(ledger.database).study(first).series[0].series_instance_uid

    for wanted in (
        {"text": first},
        {"text": series},
        {"text": str(job)},
        {"states": ["delivering"]},
        {"outcome": "hematoma_found"},
        {"until": clock() - timedelta(seconds=40)},
    ):
        assert found(ledger, **wanted) == [first], wanted
    assert found(ledger, states=["queued"]) == [second]
    assert found(ledger, callers=["MODALITY"]) == [second, first]
    for nothing in ({"text": "%"}, {"callers": ["CT9"]}, {"urgent": True}, {"text": "9" * 30}):
        assert found(ledger, **nothing) == []
    assert StudySearch(ledger.database).callers() == ("MODALITY",)


def test_urgent_studies_are_found(ledger, studies, clock):
    """As the operator marked them."""
    ledger.urgent_lane.hurry(studies[0], clock())

    assert found(ledger, urgent=True) == [studies[0]]


def test_pages_follow_one_another(ledger, studies):
    """The total counts all of them."""
    search = StudySearch(ledger.database)

    pages = [search.find(StudyQuery(), limit=1, offset=offset) for offset in (0, 1, 2)]

    assert [page.total for page in pages] == [2, 2, 2]
    assert [[one.study_instance_uid for one in page.studies] for page in pages] == [
        [studies[1]],
        [studies[0]],
        [],
    ]


def test_an_unknown_study_is_none(ledger):
    """No guess is made."""
    assert StudySearch(ledger.database).study("9.9") is None


def test_door_times_end_with_the_last_result(ledger, studies, clock):
    """Counted once everything is accepted, from the last image on."""
    search = StudySearch(ledger.database)
    assert search.door_times(clock() - timedelta(days=1)) == ()
    clock.turn(30)
    delivered(ledger, clock)

    (door,) = search.door_times(clock() - timedelta(days=1))

    assert door.study_instance_uid == studies[0]
    assert door.at == clock()
    assert door.seconds == 20 + 20 + 20 + 20 + 30
    assert search.door_times(clock() + timedelta(seconds=1)) == ()


def test_a_study_is_analysed_again(ledger, studies, clock):
    """With the same images; other results supersede the ones before."""
    first, _, job = studies
    delivered(ledger, clock)
    rerun = Rerun(database=ledger.database)

    assert rerun.study(first, by="anna", now=clock()) == 1

    search = StudySearch(ledger.database)
    again = search.study(first).series[0].job
    assert (again.job_id > job, again.state) == (True, JobState.QUEUED)
    with pytest.raises(IllegalTransitionError):
        rerun.study(first, by="anna", now=clock())
    analysed(ledger, clock)  # the other study, which waited longer
    analysed(ledger, clock, model="other")
    assert search.study(first).series[0].job.supersedes == job
    told = [
        one.text
        for one in ledger.reports.timeline(search.study(first).series[0].series_instance_uid)
    ]
    assert "by anna" in told


def test_the_same_models_send_nothing_twice(ledger, studies, clock):
    """The result set is the one that was delivered."""
    first, _, _ = studies
    delivered(ledger, clock)
    Rerun(database=ledger.database).study(first, by="anna", now=clock())
    analysed(ledger, clock)
    analysed(ledger, clock)
    waiting = ledger.delivery_queue.deliveries(states=["pending"])

    assert {one.series_instance_uid for one in waiting}.isdisjoint(
        one.series_instance_uid for one in StudySearch(ledger.database).study(first).series
    )


def test_what_was_never_chosen_cannot_be_analysed_again(ledger, clock):
    """Neither what is unknown."""
    with pytest.raises(UnknownEntryError):
        Rerun(database=ledger.database).study("9.9", by="anna", now=clock())
