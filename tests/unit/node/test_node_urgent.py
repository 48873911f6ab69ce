"""The urgent lane: what is urgent is analysed next and delivered first."""

import pytest
from node_builders import (
    START,
    arrive,
    small_series,
    stored_objects,
)
from site_builder import ADMISSION, NEXT_DAY, Site, scan
from sqlalchemy import select

from dicom_node.errors import UnknownEntryError
from dicom_node.intake.assembly import AssemblyRules
from dicom_node.intake.default_rules import DEFAULT_RULES
from dicom_node.intake.instance import SeriesAttributes
from dicom_node.intake.selection import SeriesAttribute, TextRule
from dicom_node.intake.urgency import NO_URGENCY, UrgencyRules, urgency
from dicom_node.jobs.office import AssemblyOffice
from dicom_node.jobs.state import JobKind, SearchState
from dicom_node.jobs.tables import JobRow, PriorSearchRow, PriorSeriesRow

STAT = UrgencyRules(priorities=frozenset({"STAT", "HIGH"}))
STROKE = UrgencyRules(rules=(TextRule(attribute=SeriesAttribute.STUDY, pattern="stroke|trauma"),))


def study(number, *, priority=None, **options):
    """Return a series of study 1.2.NUMBER, with a Requested Procedure Priority if there is one."""
    series = small_series(seed=number, study_uid=f"1.2.{number}", **options)
    if priority is not None:
        for image in series:
            image.RequestedProcedurePriority = priority
    return series


def bring(ledger, clock, series, rules=STAT):
    """Let a series arrive and be chosen, each over its own association."""
    arrive(ledger, series, clock, association_id=f"association-{clock().timestamp()}")
    clock.turn(5)
    AssemblyOffice(
        ledger=ledger,
        assembly=AssemblyRules(),
        selection=DEFAULT_RULES,
        clock=clock,
        urgent=rules,
    ).tick()


def claim(ledger, clock, worker="worker-0"):
    return ledger.jobs.claim(worker, now=clock(), lease_s=60, time_limit_s=600)


def complete(ledger, clock, held, destinations=("pacs",)):
    ledger.jobs.complete(
        held,
        stored_objects(str(held.task.job_id)),
        model_digest="m",
        configuration_digest="c",
        destinations=destinations,
        record={},
        now=clock(),
    )
    clock.turn(1)


def jobs_sent(ledger, clock, *, number):
    """Send so many result sets to the PACS; return their jobs in the order they went out."""
    jobs = []
    for _ in range(number):
        parcel = ledger.deliveries.claim("pacs", "courier", now=clock(), lease_s=60)
        for item in parcel.items:
            ledger.deliveries.accept(item, "accepted", now=clock())
        jobs.append(int(parcel.items[0].sop_instance_uid.split(".")[3]))
    return jobs


def search_of(session):
    """Return the number of a search for earlier scans, new in the ledger."""
    job = session.scalars(select(JobRow)).one()
    search = PriorSearchRow(
        job_id=job.job_id,
        series_uid=job.series_uid,
        study_uid=job.study_uid,
        peer="pacs",
        state=SearchState.PENDING,
        created_at=START,
        next_attempt_at=START,
    )
    session.add(search)
    session.flush()
    return search.search_id


def of_study(ledger, uid):
    return [one for one in ledger.reports.overview().series if one.study_instance_uid == uid]


def test_an_urgent_series_is_the_next_one_of_a_busy_worker(ledger, clock):
    """Two studies wait while a worker is busy; the urgent one came last and is begun first."""
    bring(ledger, clock, study(1))
    busy = claim(ledger, clock)
    bring(ledger, clock, study(2))
    bring(ledger, clock, study(3, priority="STAT"))

    complete(ledger, clock, busy)
    order = [claim(ledger, clock).task.study_instance_uid for _ in range(2)]

    assert busy.task.study_instance_uid == "1.2.1"
    assert order == ["1.2.3", "1.2.2"]


def test_urgent_results_overtake_older_ones_to_the_same_destination(ledger, clock):
    """Three result sets wait for the PACS; the urgent one was made last and is sent first."""
    for number, priority in ((1, None), (2, None), (3, "STAT")):
        bring(ledger, clock, study(number, priority=priority))
    # Analysed in the order 3, 1, 2, that would prove nothing: the urgent one is the slowest.
    held = [claim(ledger, clock, f"worker-{number}") for number in range(3)]
    by_study = {one.task.study_instance_uid: one for one in held}
    for uid in ("1.2.1", "1.2.2", "1.2.3"):
        complete(ledger, clock, by_study[uid])

    sent = jobs_sent(ledger, clock, number=3)

    assert sent == [by_study[uid].task.job_id for uid in ("1.2.3", "1.2.1", "1.2.2")]


def test_results_of_one_urgent_series_never_overtake_each_other(ledger, clock):
    """What supersedes comes after what it supersedes, or a PACS would show the old one last."""
    series = study(1, priority="STAT")
    first, second = series[:-1], series[-1:]
    bring(ledger, clock, first)
    clock.turn(60)
    bring(ledger, clock, [])
    early = claim(ledger, clock)
    complete(ledger, clock, early)
    bring(ledger, clock, second)
    late = claim(ledger, clock)
    complete(ledger, clock, late)

    assert jobs_sent(ledger, clock, number=2) == [early.task.job_id, late.task.job_id]


def test_what_is_being_sent_is_not_interrupted(ledger, clock):
    """A destination that takes one result set at a time gets the urgent one after that."""
    for number, priority in ((1, None), (2, None), (3, "STAT")):
        bring(ledger, clock, study(number, priority=priority))
        complete(ledger, clock, claim(ledger, clock))
        if number == 1:
            in_hand = ledger.deliveries.claim("pacs", "courier", now=clock(), lease_s=600)

    assert ledger.deliveries.claim("pacs", "other", now=clock(), lease_s=60) is None
    for item in in_hand.items:
        ledger.deliveries.accept(item, "accepted", now=clock())
    urgent_job = of_study(ledger, "1.2.3")[0].job.job_id

    assert jobs_sent(ledger, clock, number=1) == [urgent_job]


@pytest.mark.parametrize(
    ("attributes", "caller", "reason"),
    [
        (SeriesAttributes(priority="STAT"), "CT1", "its priority is STAT"),
        (SeriesAttributes(priority="High"), "CT1", "its priority is HIGH"),
        (SeriesAttributes(priority="ROUTINE"), "CT1", ""),
        (SeriesAttributes(study="CT Stroke Protocol"), "CT1", "study matches /stroke/"),
        (SeriesAttributes(description="CT Stroke"), "CT1", ""),
        (SeriesAttributes(), "CT-ER", "it came from CT-ER"),
        (SeriesAttributes(), "CT-ER2", ""),
    ],
)
def test_a_rule_by_caller_priority_or_text_makes_a_series_urgent(attributes, caller, reason):
    """The reason names the rule, never the text in the header."""
    rules = UrgencyRules(
        callers=frozenset({"CT-ER"}),
        priorities=frozenset({"STAT", "HIGH"}),
        rules=(TextRule(attribute=SeriesAttribute.STUDY, pattern="stroke"),),
    )

    assert urgency([SeriesAttributes(), attributes], caller, rules) == reason


def test_without_rules_nothing_is_urgent():
    """A priority alone says nothing if the site does not ask for it."""
    assert not urgency([SeriesAttributes(priority="STAT")], "CT1", NO_URGENCY)


@pytest.mark.parametrize("keyword", ["RequestedProcedurePriority", "StudyPriorityID"])
def test_both_priority_tags_of_the_images_count(ledger, clock, keyword):
    """(0040,1003), and (0032,000C) of older systems (PS3.6), as they stand in the images."""
    series = study(1)
    setattr(series[4], keyword, "HIGH")
    bring(ledger, clock, series)

    assert of_study(ledger, "1.2.1")[0].urgency == "its priority is HIGH"


def test_one_urgent_series_makes_its_study_urgent(ledger, clock):
    """The series that is analysed is another one than the one that says stroke."""
    angio = study(1)
    for number, image in enumerate(angio):
        image.SeriesInstanceUID = "1.2.1.77"
        image.SOPInstanceUID = f"1.2.1.77.{number}"
        image.SeriesDescription = "CTA"
        image.StudyDescription = "Stroke"
    bring(ledger, clock, study(2), STROKE)
    arrive(ledger, angio, clock, association_id="a-1")
    bring(ledger, clock, study(1), STROKE)

    assert [one.urgency for one in of_study(ledger, "1.2.1")] == [
        "study matches /stroke|trauma/"
    ] * 2
    assert claim(ledger, clock).task.study_instance_uid == "1.2.1"


def test_a_late_urgent_series_takes_along_what_waits_of_its_study(ledger, clock):
    """The head CT was chosen as routine, and moves up when the urgent angiography arrives."""
    bring(ledger, clock, study(1), STROKE)
    bring(ledger, clock, study(2), STROKE)
    angio = study(2)
    for number, image in enumerate(angio):
        image.SeriesInstanceUID = "1.2.2.77"
        image.SOPInstanceUID = f"1.2.2.77.{number}"
        image.SeriesDescription = "CTA"
        image.StudyDescription = "Trauma"
    bring(ledger, clock, angio, STROKE)

    assert claim(ledger, clock).task.study_instance_uid == "1.2.2"


def test_an_operator_makes_a_waiting_study_urgent_and_routine_again(ledger, clock):
    """The third of three jumps the queue, and goes back to its place."""
    for number in (1, 2, 3):
        bring(ledger, clock, study(number))

    assert ledger.urgent_lane.hurry("1.2.3", clock()) == 1
    first = claim(ledger, clock)
    ledger.urgent_lane.hurry("1.2.2", clock())
    ledger.urgent_lane.calm("1.2.2", clock())
    second = claim(ledger, clock)

    assert [first.task.study_instance_uid, second.task.study_instance_uid] == ["1.2.3", "1.2.1"]
    timeline = ledger.reports.timeline(of_study(ledger, "1.2.2")[0].series_instance_uid)
    assert [entry.kind for entry in timeline][-2:] == ["urgent", "routine"]


def test_an_operator_makes_results_that_wait_overtake(ledger, clock):
    """A destination that was away gets the urgent results first when it is back."""
    for number in (1, 2):
        bring(ledger, clock, study(number))
        complete(ledger, clock, claim(ledger, clock))
    ledger.urgent_lane.hurry("1.2.2", clock())

    urgent_job = of_study(ledger, "1.2.2")[0].job.job_id

    assert jobs_sent(ledger, clock, number=1) == [urgent_job]


def test_images_that_come_after_the_operator_spoke_are_urgent_too(ledger, clock):
    """The series is still arriving when the word comes: its job, made later, is urgent."""
    bring(ledger, clock, study(1))
    arrive(ledger, study(2), clock, association_id="a-2")
    ledger.urgent_lane.hurry("1.2.2", clock())
    bring(ledger, clock, [])

    assert claim(ledger, clock).task.study_instance_uid == "1.2.2"


def test_an_unknown_study_is_named(ledger, clock):
    """A typing error must not pass for an urgent study."""
    with pytest.raises(UnknownEntryError, match=r"1\.2\.99"):
        ledger.urgent_lane.hurry("1.2.99", clock())


def test_an_earlier_scan_that_the_node_fetched_is_not_urgent(ledger, clock):
    """It was urgent yesterday; today a patient waits for another one."""
    site = Site(ledger, clock)
    site.analyze(scan(1), ADMISSION)
    series = study(2, priority="STAT")
    with ledger.database.write() as session:
        session.add(
            PriorSeriesRow(
                series_uid=series[0].SeriesInstanceUID,
                study_uid="1.2.2",
                search_id=search_of(session),
                asked_at=clock(),
            )
        )
    bring(ledger, clock, series)

    assert [one.urgency for one in of_study(ledger, "1.2.2")] == [""]


def test_the_comparison_of_an_urgent_study_is_the_first_among_comparisons(ledger, clock):
    """It waits until no image arrives, as all do, but not behind another patient's comparison."""
    site = Site(ledger, clock)
    for patient, first in (("A", 1), ("B", 3)):
        for number, moment in ((first, ADMISSION), (first + 1, NEXT_DAY)):
            series = scan(number)
            for image in series:
                image.PatientID = patient
            site.send(series)
            if number == 4:
                ledger.urgent_lane.hurry("1.2.4", clock())
            site.finish(moment)

    held = site.claim()

    assert (held.task.kind, held.task.study_instance_uid) == (JobKind.COMPARISON, "1.2.4")
