"""Comparisons and searches in words, from the ledger to the page."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from dicom_node.jobs.state import JobKind, JobState, SearchState, SeriesState
from dicom_node.jobs.status import JobStatus, SearchStatus, SeriesStatus
from dicom_node.status_view import series_row

NOON = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
JOB = JobStatus(
    job_id=9,
    state=JobState.DELIVERED,
    reason="",
    attempts=1,
    flags=frozenset(),
    created_at=NOON,
    started_at=NOON,
    finished_at=NOON,
    supersedes=None,
    record={},
    kind=JobKind.COMPARISON,
    baseline_job_id=1,
    analysis_job_id=2,
)
COMPARED = {
    "status": "compared",
    "baseline_series_instance_uid": "1.9",
    "baseline_volume_ml": 14.3,
    "follow_up_volume_ml": 24.34,
    "elapsed_hours": 23.96,
    "expanded": True,
    "flags": ["time_zone_missing"],
}


def row(*, comparison=None, searches=()):
    series = SeriesStatus(
        series_instance_uid="1.2.3.4",
        study_instance_uid="1.2.3",
        state=SeriesState.CHOSEN,
        reason="",
        calling_ae_title="CT",
        images=30,
        first_received_at=NOON,
        last_received_at=NOON,
        job=replace(JOB, job_id=2, kind=JobKind.ANALYSIS),
        deliveries=(),
        comparison=comparison,
        searches=searches,
    )
    return series_row(series, has_picture=lambda job_id: job_id == 9)


@pytest.mark.parametrize(
    ("expanded", "words"),
    [
        (True, "14.3 to 24.3 mL in 24.0 h: expanded"),
        (False, "14.3 to 24.3 mL in 24.0 h: not expanded"),
        (None, "14.3 to 24.3 mL in 24.0 h: no verdict"),
    ],
)
def test_a_comparison_is_told_in_a_line(expanded, words):
    """Volumes, time and verdict; where there is none it says so."""
    one = row(comparison=replace(JOB, record=COMPARED | {"expanded": expanded}))

    assert one.follow_up == (words,)
    assert one.comparison.flags == ("time_zone_missing",)
    assert one.comparison.has_picture
    assert not one.has_picture


def test_a_comparison_that_was_refused_says_why():
    """The reason stands where the volumes would."""
    refused = replace(JOB, state=JobState.REJECTED, reason="Patient's Sex differs")

    assert row(comparison=refused).follow_up == ("comparison rejected: Patient's Sex differs",)


def test_a_comparison_that_waits_says_so():
    """There is no record yet."""
    waits = row(comparison=replace(JOB, state=JobState.QUEUED))

    assert waits.follow_up == ("comparison queued",)


def search(**changes):
    one = SearchStatus(
        peer="pacs",
        state=SearchState.DONE,
        attempts=1,
        reason="fetched 30 images of 1 series",
        next_attempt_at=NOON,
    )
    return replace(one, **changes)


def test_a_search_tells_what_was_fetched_and_what_waits():
    """Only one that waits names a time."""
    away = search(peer="old", state=SearchState.PENDING, reason="No connection to old")

    done, waits = row(searches=(search(), away)).follow_up

    assert done == "priors at pacs: fetched 30 images of 1 series"
    assert waits.startswith("priors at old: No connection to old; again at 2026-01-05")


def test_the_row_is_plain_json():
    """Programs read the same as people."""
    document = row(comparison=replace(JOB, record=COMPARED), searches=(search(),)).as_dict()

    assert document["comparison"]["expanded"] is True
    assert document["searches"][0]["peer"] == "pacs"
