"""What the ledger queues when an analysis has results: comparisons, shadows, searches."""

from datetime import timedelta

import pytest
from node_builders import arrive
from site_builder import ADMISSION, LATER, NEXT_DAY, PAIRING, Site, scan
from sqlalchemy import select

from dicom_node.jobs.planning import PlanningRules
from dicom_node.jobs.retry import RetryPolicy
from dicom_node.jobs.state import JobKind, JobState, SeriesState
from dicom_node.jobs.tables import PriorSearchRow, PriorSeriesRow


@pytest.fixture
def site(ledger, clock):
    return Site(ledger, clock)


def kinds(ledger, series_uid):
    return [entry.kind for entry in ledger.reports.timeline(series_uid)]


def test_a_second_scan_is_compared_with_the_first(site, ledger):
    """The comparison names both analyses and brings the images of both."""
    first, second = scan(1), scan(2, slices=14)
    baseline = site.analyze(first, ADMISSION)
    follow_up = site.analyze(second, NEXT_DAY)

    task = site.claim().task

    assert task.kind is JobKind.COMPARISON
    assert task.series_instance_uid == follow_up.series_instance_uid
    assert task.study_instance_uid == follow_up.study_instance_uid
    assert task.files == follow_up.files
    assert task.baseline.job_id == baseline.job_id
    assert task.baseline.series_instance_uid == baseline.series_instance_uid
    assert task.baseline.study_instance_uid == baseline.study_instance_uid
    assert task.baseline.files == baseline.files
    assert (len(task.baseline.files), len(task.files)) == (12, 14)
    assert task.predecessors == ()
    assert "paired" in kinds(ledger, follow_up.series_instance_uid)


def test_the_follow_up_may_be_sent_first(site):
    """The baseline arrives late; the time of acquisition says which it is."""
    follow_up = site.analyze(scan(1), NEXT_DAY)
    baseline = site.analyze(scan(2), ADMISSION)

    task = site.claim().task

    assert (task.baseline.job_id, task.series_instance_uid) == (
        baseline.job_id,
        follow_up.series_instance_uid,
    )


def test_analyses_go_before_comparisons(site):
    """A first result is never held up by a second look at an old patient."""
    site.analyze(scan(1), ADMISSION)
    site.analyze(scan(2), NEXT_DAY)
    site.send(scan(3, patient_id="SOMEBODY-ELSE"))

    assert [site.claim().task.kind for _ in range(2)] == [JobKind.ANALYSIS, JobKind.COMPARISON]


def test_a_comparison_does_not_begin_while_images_arrive(site, ledger, clock):
    """The scan that arrives is analysed first; one that got stuck holds up nothing for ever."""
    site.analyze(scan(1), ADMISSION)
    site.analyze(scan(2), NEXT_DAY)
    arrive(ledger, scan(3)[:3], clock, association_id="slow", is_closed=False)

    clock.turn(119)
    assert site.claim() is None
    clock.turn(1)
    assert site.claim().task.kind is JobKind.COMPARISON


def test_other_patients_and_nobody_are_never_paired(site):
    """Without a Patient ID nobody knows that two scans are of one patient."""
    site.analyze(scan(1, patient_id="A"), ADMISSION)
    site.analyze(scan(2, patient_id="B"), NEXT_DAY)
    site.analyze(scan(3, patient_id=""), ADMISSION)
    site.analyze(scan(4, patient_id=""), NEXT_DAY)

    assert site.jobs(JobKind.COMPARISON) == []


def issued_by(images, issuer):
    for image in images:
        image.IssuerOfPatientID = issuer
    return images


def test_an_archive_that_adds_the_issuer_does_not_part_a_patient(site):
    """The scanner names none; the comparison itself looks at birth date and sex."""
    baseline = site.analyze(issued_by(scan(1), "HOSPITAL"), ADMISSION)
    follow_up = site.analyze(scan(2), NEXT_DAY)

    assert site.jobs(JobKind.COMPARISON) == [(baseline.job_id, follow_up.job_id, JobState.QUEUED)]


def test_the_same_number_from_another_issuer_is_another_patient(site, ledger):
    """Two hospitals gave the same Patient ID; the history says why nothing is compared."""
    site.analyze(issued_by(scan(1), "HOSPITAL"), ADMISSION)
    other = site.analyze(issued_by(scan(2), "CLINIC"), NEXT_DAY)

    assert site.jobs(JobKind.COMPARISON) == []
    texts = [entry.text for entry in ledger.reports.timeline(other.series_instance_uid)]
    assert any("not its issuer" in text for text in texts)


def test_a_study_sent_again_makes_no_second_comparison(site, ledger):
    """The same images lead to the same job; the pair has its comparison."""
    first, second = scan(1), scan(2)
    site.analyze(first, ADMISSION)
    site.analyze(second, NEXT_DAY)
    site.send(first)
    site.send(second)

    site.complete(site.claim(), status="compared")

    assert site.claim() is None
    assert len(site.jobs(JobKind.COMPARISON)) == 1
    assert ledger.reports.overview().series[0].comparison.state is JobState.DELIVERED


def test_a_third_scan_leaves_the_first_comparison_alone(site):
    """What was compared, or refused, is not compared again because of another scan."""
    baseline = site.analyze(scan(1), ADMISSION)
    second = site.analyze(scan(2), NEXT_DAY)
    site.complete(site.claim(), status="compared")

    third = site.analyze(scan(3), LATER)
    site.ledger.jobs.reject(site.claim(), "refused", record={}, now=site.clock())
    site.analyze(scan(4, slices=11), LATER.replace("20:", "22:"))

    pairs = [pair[:2] for pair in site.jobs(JobKind.COMPARISON)]
    assert pairs[:2] == [(baseline.job_id, second.job_id), (baseline.job_id, third.job_id)]
    assert len(pairs) == 3


def test_a_baseline_that_arrives_late_makes_the_comparison_again(site):
    """The one of the nearer scan is superseded by that of the first one."""
    middle = site.analyze(scan(1), NEXT_DAY)
    last = site.analyze(scan(2), LATER)
    made = site.complete(site.claim(), status="compared")

    first = site.analyze(scan(3), ADMISSION)
    tasks = [site.claim().task for _ in range(2)]

    assert made.baseline.job_id == middle.job_id
    assert {(t.baseline.job_id, t.series_instance_uid) for t in tasks} == {
        (first.job_id, middle.series_instance_uid),
        (first.job_id, last.series_instance_uid),
    }
    (again,) = [t for t in tasks if t.series_instance_uid == last.series_instance_uid]
    assert [one.sop_instance_uid for one in again.predecessors] == [
        f"1.2.3.{made.job_id}.{number}" for number in (1, 2, 3)
    ]


def test_a_comparison_that_nobody_began_gives_way_to_a_better_one(site):
    """One is withdrawn, the other waits: the follow-up is not compared twice."""
    middle = site.analyze(scan(1), NEXT_DAY)
    last = site.analyze(scan(2), LATER)
    first = site.analyze(scan(3), ADMISSION)

    assert set(site.jobs(JobKind.COMPARISON)) == {
        (middle.job_id, last.job_id, JobState.WITHDRAWN),
        (first.job_id, middle.job_id, JobState.QUEUED),
        (first.job_id, last.job_id, JobState.QUEUED),
    }


def test_late_images_of_a_baseline_make_the_comparison_again(site):
    """The analysis that is superseded is no baseline any more."""
    images = scan(1, slices=13)
    site.analyze(images[:12], ADMISSION)
    follow_up = site.analyze(scan(2), NEXT_DAY)
    site.complete(site.claim(), status="compared")

    again = site.analyze(images[12:], ADMISSION)

    task = site.claim().task
    assert (task.baseline.job_id, task.series_instance_uid) == (
        again.job_id,
        follow_up.series_instance_uid,
    )
    assert len(task.baseline.files) == 13


def test_other_bytes_of_an_image_that_was_analysed_change_no_comparison(site, ledger):
    """The analysis has begun long ago, though the comparison still waits."""
    site.analyze(scan(1), ADMISSION)
    images = scan(2)
    follow_up = site.analyze(images, NEXT_DAY)
    images[0].PatientComments = "changed"
    site.send(images[:1])

    (series,) = [
        one
        for one in ledger.reports.overview().series
        if one.series_instance_uid == follow_up.series_instance_uid
    ]
    assert series.state is SeriesState.CHOSEN
    assert series.comparison.state is JobState.QUEUED


def test_late_images_of_a_follow_up_withdraw_its_comparison(site):
    """It would compare a scan that is not complete."""
    images = scan(2, slices=13)
    site.analyze(scan(1), ADMISSION)
    site.analyze(images[:12], NEXT_DAY)
    site.send(images[12:])
    assert [state for *_, state in site.jobs(JobKind.COMPARISON)] == [JobState.WITHDRAWN]

    site.finish(NEXT_DAY)

    assert len(site.claim().task.files) == 13


def test_two_series_of_one_examination_are_not_compared(site):
    """They were taken at the same time."""
    site.analyze(scan(1), ADMISSION)
    site.analyze(scan(2), ADMISSION)

    assert site.jobs(JobKind.COMPARISON) == []


def test_without_a_time_the_reason_is_told(site, ledger):
    """There is another scan of the patient, and no way to order the two."""
    alone = site.analyze(scan(1), None)
    other = site.analyze(scan(2), None)

    assert site.jobs(JobKind.COMPARISON) == []
    assert "not_compared" not in kinds(ledger, alone.series_instance_uid)
    assert "not_compared" in kinds(ledger, other.series_instance_uid)


def test_a_rejected_comparison_says_why_and_leaves_its_study_alone(site, ledger):
    """A series that was outranked steps in for one that cannot be analysed, not for this."""
    site.analyze(scan(1), ADMISSION)
    chosen, spare = scan(2, slices=14), scan(2, slices=11, series_number=3)
    site.send([*chosen, *spare])
    site.finish(NEXT_DAY)

    site.ledger.jobs.reject(site.claim(), "sex differs", record={}, now=site.clock())

    states = {one.images: one for one in ledger.reports.overview().series}
    assert states[14].job.state is JobState.DELIVERED
    assert states[14].comparison.reason == "sex differs"
    assert states[11].state is SeriesState.SET_ASIDE


def test_a_follow_up_without_comparisons_stays_without(ledger, clock):
    """The site switched them off."""
    site = Site(ledger, clock, PlanningRules())
    site.analyze(scan(1), ADMISSION)
    site.analyze(scan(2), NEXT_DAY)

    assert site.jobs(JobKind.COMPARISON) == []


def test_a_shadow_repeats_an_analysis_once_and_last(ledger, clock):
    """It has the images of the analysis, and supersedes nothing."""
    site = Site(ledger, clock, PlanningRules(pairing=PAIRING, with_shadow=True))
    site.analyze(scan(1), ADMISSION)
    follow_up = site.analyze(scan(2), NEXT_DAY)

    tasks = [site.complete(site.claim(), status="compared") for _ in range(3)]

    assert [task.kind for task in tasks] == [
        JobKind.COMPARISON,
        JobKind.SHADOW,
        JobKind.SHADOW,
    ]
    assert tasks[2].files == follow_up.files
    assert tasks[2].predecessors == ()
    assert site.claim() is None


def test_shadows_do_not_show_as_the_state_of_a_series(ledger, clock):
    """What the page shows is the analysis that was delivered."""
    site = Site(ledger, clock, PlanningRules(with_shadow=True))
    analysis = site.analyze(scan(1), ADMISSION)
    site.complete(site.claim(), status="no_hematoma_found")

    (series,) = ledger.reports.overview().series

    assert series.job.job_id == analysis.job_id
    assert series.job.record["status"] == "hematoma_found"


def searches(ledger):
    with ledger.database.read() as session:
        rows = session.scalars(select(PriorSearchRow)).all()
        return [(row.study_uid, row.peer, row.state.value) for row in rows]


def test_each_peer_is_searched_once_per_study(ledger, clock):
    """A second series of the study, or more images, start no second search."""
    site = Site(ledger, clock, PlanningRules(prior_peers=("pacs", "archive")))
    images = scan(1, slices=13)
    site.analyze(images[:12], ADMISSION)
    site.analyze(images[12:], ADMISSION)

    assert searches(ledger) == [("1.2.1", "pacs", "pending"), ("1.2.1", "archive", "pending")]


def test_only_a_found_hematoma_with_a_time_is_searched_for(ledger, clock):
    """A normal head asks no PACS; without a time there is no window; without an ID no patient."""
    site = Site(ledger, clock, PlanningRules(prior_peers=("pacs",)))
    site.analyze(scan(1), ADMISSION, status="no_hematoma_found")
    site.analyze(scan(2), None)
    site.analyze(scan(3, patient_id=""), ADMISSION)

    assert searches(ledger) == []


def test_a_prior_that_was_fetched_searches_no_further(ledger, clock):
    """Else one admission would fetch the patient's whole past."""
    site = Site(ledger, clock, PlanningRules(prior_peers=("pacs",)))
    site.analyze(scan(1), NEXT_DAY)
    with ledger.database.write() as session:
        session.add(
            PriorSeriesRow(series_uid="1.9", study_uid="1.2.2", search_id=1, asked_at=clock())
        )

    site.analyze(scan(2), ADMISSION)

    assert searches(ledger) == [("1.2.1", "pacs", "pending")]


def test_a_job_that_waits_for_its_retry_goes_on_waiting(site, ledger, clock):
    """What lies within the longest wait of the policy is no fault of the clock."""
    site.send(scan(1))
    policy = RetryPolicy(max_attempts=3, first_delay_s=30, cap_s=600)
    again_at = clock() + timedelta(seconds=600)
    ledger.jobs.fail(site.claim(), "injected", again_at=again_at, now=clock())

    ledger.jobs.sweep(policy, clock())

    assert site.claim() is None
