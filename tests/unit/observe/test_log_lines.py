"""Log lines carry the association from C-STORE to delivery, for people and for machines."""

import json
import logging
import sys
import threading
from pathlib import Path

import pytest
from node_builders import Clock, arrive, opened_ledger, small_series, stored_objects

from dicom_node.bootstrap.logs import log_what_nobody_caught
from dicom_node.intake.assembly import AssemblyRules
from dicom_node.intake.default_rules import DEFAULT_RULES
from dicom_node.jobs.office import AssemblyOffice
from dicom_node.observe.log_lines import JsonLines, TextLines
from dicom_node.trace import current_trace, tracing

ASSOCIATION = "0af7651916cd43dd8448eb211c80319c"


def line(sentence, *fields, error=None):
    return logging.LogRecord(
        "dicom_node.jobs.worker", logging.INFO, "worker.py", 1, sentence, fields, error
    )


def test_a_text_line_ends_with_the_association():
    """Behind the sentence, so that lines without one look as ever."""
    with tracing(ASSOCIATION):
        traced = TextLines("worker").format(line("Job %s begins", 7))
    plain = TextLines("worker").format(line("Job %s begins", 7))

    assert traced.endswith(f"worker     INFO    Job 7 begins [{ASSOCIATION}]")
    assert plain.endswith("worker     INFO    Job 7 begins")


def test_a_json_line_has_the_sentence_and_its_fields():
    """One object a line; the sentence is the code's, so lines of a kind can be counted."""
    with tracing(ASSOCIATION):
        text = JsonLines("worker").format(line("Job %s has\n%s results", 7, Path("a b")))

    document = json.loads(text)
    assert "\n" not in text
    assert document["sentence"] == "Job %s has\n%s results"
    assert document["fields"] == [7, "a b"]
    assert document["message"] == "Job 7 has\na b results"
    assert document["trace_id"] == ASSOCIATION
    assert document["process"] == "worker"
    assert document["time"].endswith("+00:00")


def test_a_json_line_tells_of_an_error_its_type_only():
    """The words of an outside library may quote what was sent."""
    error = ValueError("DOE^JANE")
    text = JsonLines("worker").format(line("It failed", error=(ValueError, error, None)))

    assert json.loads(text)["exception"] == "ValueError"
    assert "DOE" not in text
    assert "trace_id" not in json.loads(text)


def test_the_trace_ends_with_the_work_and_stays_in_its_thread():
    """Two associations are worked on side by side."""
    seen = []
    with tracing("a"):
        with tracing("b"):
            seen.append(current_trace())
        seen.append(current_trace())
        other = threading.Thread(target=lambda: seen.append(current_trace()))
        other.start()
        other.join()
    seen.append(current_trace())

    assert seen == ["b", "a", "", ""]


@pytest.fixture
def analysed(tmp_path):
    """Return a ledger, and a claim of a job whose images came over two associations."""
    clock, images = Clock(), small_series(slices=20)
    with opened_ledger(tmp_path / "ledger.sqlite") as ledger:
        arrive(ledger, images[:10], clock, association_id="first")
        clock.turn(1)
        arrive(ledger, images[10:], clock, association_id=ASSOCIATION)
        office = AssemblyOffice(
            ledger=ledger, assembly=AssemblyRules(), selection=DEFAULT_RULES, clock=clock
        )
        for _ in range(4):
            clock.turn(60)
            office.tick()
        claim = ledger.jobs.claim("worker-0", now=clock(), lease_s=60, time_limit_s=600)
        yield ledger, claim, clock


def test_a_job_knows_the_association_of_its_last_image(analysed):
    """It is in the ledger, so that a restart does not cut the trace."""
    _, claim, _ = analysed

    assert claim.task.association_id == ASSOCIATION


def test_a_parcel_knows_it_too(analysed):
    """From C-STORE to delivery by one identifier."""
    ledger, claim, clock = analysed
    ledger.jobs.complete(
        claim,
        stored_objects(),
        model_digest="m",
        configuration_digest="c",
        destinations=("pacs",),
        record={},
        now=clock(),
    )

    parcel = ledger.deliveries.claim("pacs", "office", now=clock(), lease_s=60)

    assert parcel.association_id == ASSOCIATION


def test_a_text_line_tells_of_an_error_type_and_place_only():
    """Uvicorn and asyncio log exceptions with their words, and of the causes, too."""

    def fall():
        raise RuntimeError("cannot read DOE^JANE") from ValueError("DOE^JANE")

    with pytest.raises(RuntimeError) as caught:
        fall()
    text = TextLines("office").format(line("It failed", error=caught._excinfo))

    assert "It failed\n  RuntimeError\n  " in text
    assert "test_log_lines.py" in text
    assert "DOE" not in text


def test_what_a_sender_wrote_cannot_begin_a_line_or_steer_a_terminal():
    """A UID with a line feed and an escape sequence stays in its line."""
    text = TextLines("receiver").format(
        line("C-STORE of %s refused", "1.2\n2026-01-05 worker INFO all is well\r\x1b[2J\x9b\u2028")
    )

    _, second = text.split("\n")
    assert second.startswith("  2026-01-05")
    assert second.endswith("all is well\\x0d\\x1b[2J\\x9b\\x2028 refused")


def test_a_thread_that_dies_tells_no_words(caplog, monkeypatch):
    """Python would print the message on standard error."""
    for name in ("excepthook", "unraisablehook"):
        monkeypatch.setattr(sys, name, getattr(sys, name))
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    log_what_nobody_caught()

    def fall():
        raise ValueError("DOE^JANE")

    thread = threading.Thread(target=fall, name="courier")
    thread.start()
    thread.join()
    try:
        fall()
    except ValueError as error:
        sys.excepthook(ValueError, error, error.__traceback__)

    assert "Thread courier died: ValueError" in caplog.text
    assert "The process dies: ValueError" in caplog.text
    assert "in fall" in caplog.text
    assert "DOE" not in caplog.text
