"""The way of a job as a trace: what is in it, and that a collector gets all of it."""

import json
import socket
from datetime import timedelta

import pytest
from ct_builder import POISON_BIRTH_DATE, POISON_ID, POISON_NAME
from node_builders import Clock, stored_objects
from otlp_collector import Collector, spans_of
from site_builder import Site, scan

from dicom_node.bootstrap.tracing import trace_courier
from dicom_node.jobs.state import JobKind
from dicom_node.jobs.timeline import EventKind
from dicom_node.jobs.trace_ledger import EndedJob, Stretch, TraceLedger
from dicom_node.observe.otlp import export_request, trace_id
from dicom_node.settings.file import SettingsError, parse_settings
from dicom_node.settings.schema import Settings

ASSOCIATION = "0af7651916cd43dd8448eb211c80319c"


def settings_of(url, **options):
    return parse_settings(
        {"tracing": {"otlp_url": url} | options}, source="node.toml", environment={}
    )


def work_off(ledger, site, clock, *, destinations=("pacs",)):
    """Analyse what waits in two steps of two seconds each; return the claim."""
    held = site.claim()
    for step in ("segment", "classify"):
        ledger.jobs.note_step(held, step, now=clock())
        clock.turn(2)
    ledger.jobs.complete(
        held,
        stored_objects(str(held.task.job_id)),
        model_digest="m",
        configuration_digest="c",
        destinations=destinations,
        record={},
        now=clock(),
    )
    return held


def deliver(ledger, clock, name="pacs"):
    """Send a result set, one object a second."""
    parcel = ledger.deliveries.claim(name, "courier", now=clock(), lease_s=60)
    for item in parcel.items:
        clock.turn(1)
        ledger.deliveries.accept(item, "accepted", now=clock())
    return len(parcel.items)


def seconds(span):
    return (int(span["endTimeUnixNano"]) - int(span["startTimeUnixNano"])) / 1e9


def test_a_delivered_job_is_a_trace_from_the_association_to_the_archive(ledger, clock):
    """Each stretch under the job, each step under its attempt, with the times of the ledger."""
    site = Site(ledger, clock)
    site.send(scan(1))
    work_off(ledger, site, clock)
    number = deliver(ledger, clock)

    spans = spans_of(
        json.loads(
            export_request(TraceLedger(ledger.database).ended(0), node="ICHNODE", version="1")
        )
    )

    by_name = {span["name"]: span for span in spans}
    assert [span["name"] for span in spans] == [
        *("analysis", "receive", "assembly", "queue", "attempt", "segment", "classify"),
        "deliver pacs",
    ]
    root = by_name["analysis"]
    assert "parentSpanId" not in root
    for name in ("receive", "assembly", "queue", "attempt", "deliver pacs"):
        assert by_name[name]["parentSpanId"] == root["spanId"]
    for name in ("segment", "classify"):
        assert by_name[name]["parentSpanId"] == by_name["attempt"]["spanId"]
        assert seconds(by_name[name]) == 2
    assert seconds(by_name["deliver pacs"]) == number
    assert len({span["traceId"] for span in spans}) == 1
    attributes = {one["key"]: one["value"] for one in root["attributes"]}
    assert attributes["ichnode.outcome"] == {"stringValue": "delivered"}
    assert attributes["ichnode.attempts"] == {"intValue": "1"}
    assert attributes["ichnode.caller"] == {"stringValue": "MODALITY"}


def test_a_job_that_fails_once_shows_both_attempts(ledger, clock):
    """The step that failed is marked, the ones before it and the second attempt are good."""
    site = Site(ledger, clock)
    site.send(scan(1))
    held = site.claim()
    for step in ("read", "segment"):
        ledger.jobs.note_step(held, step, now=clock())
        clock.turn(1)
    ledger.jobs.fail(held, "no luck", again_at=clock(), now=clock())
    work_off(ledger, site, clock, destinations=())

    (job,) = TraceLedger(ledger.database).ended(0)

    inside = [one for one in job.stretches if one.is_step or one.name == "attempt"]
    assert [(one.name, one.good) for one in inside] == [
        *(("attempt", False), ("read", True), ("segment", False)),
        *(("attempt", True), ("segment", True), ("classify", True)),
    ]
    assert (job.outcome, job.attempts) == (EventKind.DELIVERED, 2)


def test_a_job_that_gave_up_is_an_error(ledger, clock):
    """Status code 2 of trace.proto."""
    site = Site(ledger, clock)
    site.send(scan(1))
    ledger.jobs.fail(site.claim(), "no luck", again_at=None, now=clock())

    jobs = TraceLedger(ledger.database).ended(0)
    (root, *_) = spans_of(json.loads(export_request(jobs, node="ICHNODE", version="1")))

    assert root["status"] == {"code": 2}


def job_of(association, **options):
    begin = Clock()()
    return EndedJob(
        **{
            "event_id": 1,
            "job_id": 1,
            "kind": JobKind.ANALYSIS,
            "outcome": EventKind.DELIVERED,
            "series_uid": "1.2.3",
            "association_id": association,
            "caller": "CT1",
            "attempts": 1,
            "stretches": (
                Stretch(name="queue", begin=begin, end=begin + timedelta(microseconds=1)),
            ),
        }
        | options
    )


@pytest.mark.parametrize(
    ("association", "is_kept"),
    [(ASSOCIATION, True), ("", False), ("0" * 32, False), ("association-1", False)],
)
def test_a_trace_id_has_the_form_of_the_w3c(association, is_kept):
    """32 hexadecimal digits, not all zero; an association of another form gets one that has."""
    (root, _) = spans_of(
        json.loads(export_request([job_of(association)], node="ICHNODE", version="1"))
    )

    assert (root["traceId"] == association) is is_kept
    assert root["traceId"] == trace_id(job_of(association))


def test_times_are_exact_to_the_microsecond():
    """A float of seconds since 1970 would lose them."""
    (_, queue) = spans_of(
        json.loads(export_request([job_of(ASSOCIATION)], node="ICHNODE", version="1"))
    )

    assert int(queue["endTimeUnixNano"]) - int(queue["startTimeUnixNano"]) == 1000


def test_the_collector_gets_every_job_once(ledger, clock):
    """What ended before it was turned on is left alone; a second look sends nothing again."""
    site, collector = Site(ledger, clock), Collector()
    site.send(scan(1))
    work_off(ledger, site, clock, destinations=())
    with collector.listening() as url:
        courier = trace_courier(settings_of(url), ledger, clock)
        courier.tick()
        courier.tick()
        before = len(collector.spans)
        site.send(scan(2))
        work_off(ledger, site, clock, destinations=())
        courier.tick()
        trace_courier(settings_of(url), ledger, clock).tick()

    assert not collector.faults
    assert before == 0
    assert [span["name"] for span in collector.spans].count("analysis") == 1


def test_a_collector_that_is_away_gets_the_same_spans_later(ledger, clock, caplog):
    """Down, then broken, then well; the wait doubles from ten seconds, and nothing is left out."""
    site, collector = Site(ledger, clock), Collector()
    with socket.create_server(("127.0.0.1", 0)) as closed:
        nobody = f"http://127.0.0.1:{closed.getsockname()[1]}"
    trace_courier(settings_of(nobody), ledger, clock).tick()
    site.send(scan(1))
    work_off(ledger, site, clock, destinations=())
    trace_courier(settings_of(nobody), ledger, clock).tick()
    with collector.listening() as url:
        courier = trace_courier(settings_of(url), ledger, clock)
        collector.status = 503
        courier.tick()
        collector.status = 200
        courier.tick()
        waiting = len(collector.spans)
        clock.turn(10)
        courier.tick()

    assert waiting == 0
    assert len(collector.spans) > 0
    assert "No connection to collector" in caplog.text
    assert "HTTP 503" in caplog.text


def test_spans_that_a_collector_will_never_take_stop_no_others(ledger, clock, caplog):
    """HTTP 400: they are dropped and it is said, the next job goes out."""
    site, collector = Site(ledger, clock), Collector()
    with collector.listening() as url:
        courier = trace_courier(settings_of(url), ledger, clock)
        courier.tick()
        for number, status in ((1, 400), (2, 200)):
            site.send(scan(number))
            work_off(ledger, site, clock, destinations=())
            collector.status = status
            courier.tick()

    assert [span["name"] for span in collector.spans].count("analysis") == 1
    assert "refused the traces of 1 jobs for good" in caplog.text


def test_a_secret_goes_along_and_no_patient_does(ledger, clock, tmp_path):
    """A bearer token from its file; the images are poisoned with a patient."""
    secret = tmp_path / "token"
    secret.write_text("abc\n")
    secret.chmod(0o600)
    site, collector = Site(ledger, clock), Collector()
    with collector.listening() as url:
        courier = trace_courier(settings_of(url, secret_file=str(secret)), ledger, clock)
        courier.tick()
        site.send(scan(1, patient_id=POISON_ID))
        work_off(ledger, site, clock, destinations=())
        courier.tick()

    (text,) = collector.texts
    assert collector.headers[0]["Authorization"] == "Bearer abc"
    assert not any(word in text for word in (POISON_NAME, POISON_ID, POISON_BIRTH_DATE))


def test_a_site_that_names_no_collector_has_no_traces(ledger, clock):
    """The default."""
    assert trace_courier(Settings(), ledger, clock) is None


@pytest.mark.parametrize(
    ("url", "options"),
    [
        ("collector:4318", {}),
        ("https://user:word@collector:4318", {}),
        ("http://collector.example:4318", {"secret_file": "/etc/token"}),
    ],
)
def test_an_address_that_is_none_or_gives_a_secret_away_is_refused(url, options):
    """With the key that is at fault."""
    with pytest.raises(SettingsError, match=r"tracing\.otlp_url"):
        settings_of(url, **options)
