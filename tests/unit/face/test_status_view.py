"""The state of the node in words."""

from datetime import UTC, datetime, timedelta

from dicom_node.jobs.state import DeliveryState, JobState, SeriesState
from dicom_node.jobs.status import DeliveryStatus, JobStatus, Overview, SeriesStatus
from dicom_node.status_view import series_rows

NOON = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)


def delivery(number, *, destination="pacs", state=DeliveryState.ACCEPTED, reason=""):
    return DeliveryStatus(
        delivery_id=number,
        destination=destination,
        kind="report",
        sop_instance_uid=f"1.2.{number}",
        state=state,
        attempts=1,
        reason=reason,
        next_attempt_at=NOON,
        accepted_at=NOON + timedelta(seconds=9) if state is DeliveryState.ACCEPTED else None,
    )


def job(*, state=JobState.DELIVERED, reason="", record=None):
    return JobStatus(
        job_id=7,
        state=state,
        reason=reason,
        attempts=1,
        flags=frozenset(),
        created_at=NOON,
        started_at=NOON,
        finished_at=NOON,
        supersedes=None,
        record=record or {},
    )


def row(*, job, deliveries=(), reason="rank 1 of 1"):
    series = SeriesStatus(
        series_instance_uid="1.2.3.4",
        study_instance_uid="1.2.3",
        state=SeriesState.CHOSEN if job else SeriesState.RECEIVING,
        reason=reason,
        calling_ae_title="CT",
        images=30,
        first_received_at=NOON,
        last_received_at=NOON,
        job=job,
        deliveries=deliveries,
    )
    overview = Overview(
        series=(series,), series_by_state={}, jobs_by_state={}, deliveries_by_state={}
    )
    (one,) = series_rows(overview, has_picture=lambda job_id: job_id == 7)
    return one


def test_before_there_is_a_job_the_series_speaks():
    """What is waited for is the reason."""
    one = row(job=None, reason="waits for the end of an association")

    assert (one.state, one.reason) == ("receiving", "waits for the end of an association")
    assert one.opinion == ""
    assert not one.has_picture


def test_once_there_is_a_job_it_speaks():
    """The reason of a rejection stands where it is looked for."""
    one = row(job=job(state=JobState.REJECTED, reason="gap: found 40 mm; needed 15 mm"))

    assert (one.state, one.reason) == ("rejected", "gap: found 40 mm; needed 15 mm")


def test_an_opinion_is_told_in_words():
    """Labels of the weights are not for readers."""
    found = {
        "status": "hematoma_found",
        "volume_ml": 23.456,
        "he_probability": 0.31,
        "he_label": "NHE",
    }

    assert row(job=job(record=found)).opinion == (
        "hematoma found, 23.5 mL, no expansion predicted (0.31)"
    )


def test_range_and_blood_elsewhere_are_told_in_words():
    """A record of this version holds both; 3 mL of ventricular blood are told, 0.2 mL are not."""
    found = {
        "status": "hematoma_found",
        "volume_ml": 18.46,
        "volume_range_ml": [15.2, 22.44],
        "compartments_ml": {
            "extra_axial_hemorrhage": 0.2,
            "perihematomal_edema": 30.0,
            "intraventricular_hemorrhage": 3.0,
        },
    }

    assert row(job=job(record=found)).opinion == (
        "hematoma found, 18.5 mL (95 % range 15.2-22.4), intraventricular hemorrhage"
    )


def test_no_hematoma_has_no_volume():
    """Zero millilitres would look like a measurement."""
    nothing = {
        "status": "no_hematoma_found",
        "volume_ml": 0.0,
        "he_probability": None,
        "he_label": None,
    }

    assert row(job=job(record=nothing)).opinion == "no hematoma found"


def test_deliveries_are_counted_per_destination_with_their_reasons():
    """What is missing says why."""
    one = row(
        job=job(state=JobState.DELIVERING),
        deliveries=(
            delivery(1),
            delivery(2, state=DeliveryState.PENDING, reason="refused"),
            delivery(3, destination="archive"),
        ),
    )

    assert one.delivered == ("pacs: 1 of 2 accepted; refused", "archive: 1 of 1 accepted")
    assert one.door_to_result_s is None


def test_door_to_result_ends_with_the_last_acceptance():
    """Nine seconds after the last image."""
    assert row(job=job(), deliveries=(delivery(1),)).door_to_result_s == 9.0
