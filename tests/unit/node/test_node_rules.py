"""Rules of the house that the node's core keeps."""

import re
from pathlib import Path

import pytest

import dicom_node
from dicom_node.errors import NodeError, describe_error, stack_of
from dicom_node.jobs.timeline import EventKind

CORE = [
    path
    for room in ("association", "intake", "jobs", "delivery", "worklist")
    for path in sorted((Path(dicom_node.__file__).parent / room).glob("*.py"))
]


def test_broad_excepts_are_few_and_known():
    """Handler, worker, courier and their like: there anything at all is turned into a state."""
    broad = [
        path.stem
        for path in CORE
        for _ in re.findall(r"except (?:Exception|BaseException)\b|except:", path.read_text())
    ]

    assert sorted(broad) == [
        "answer_guard",
        "commitment",
        "commitment",
        "commitment_scp",
        "commitment_scp",
        "counted",
        "courier",
        "listener",
        "message_guard",
        "notary",
        "notary",
        "performer",
        "prior_seeker",
        "storage_scp",
        "storage_scp",
        "store_answer",
        "worker",
    ]


@pytest.mark.parametrize("path", CORE, ids=lambda path: f"{path.parent.name}.{path.stem}")
def test_no_module_prints_or_logs_a_traceback_of_its_own(path):
    """A traceback ends with the message, and that may quote a data set."""
    text = path.read_text()

    assert "print(" not in text
    assert "LOGGER.exception" not in text
    assert "exc_info" not in text


def test_foreign_messages_are_not_passed_on():
    """Type and place are enough to find a fault; the message may quote a patient."""
    try:
        int("POISON^DONOTLOG")
    except ValueError as error:
        told = describe_error(error) + stack_of(error)

    assert "POISON" not in told
    assert "ValueError" in told
    assert "test_node_rules.py" in told
    assert describe_error(KeyError("POISON^DONOTLOG")) == "KeyError"
    assert describe_error(NodeError("our own words")) == "our own words"


def test_stored_kinds_of_events_never_change():
    """They are in ledgers of running nodes, and each fits its column of 32 characters."""
    assert {kind.value for kind in EventKind} == {
        "first_image",
        "late_image",
        "other_version",
        "complete",
        "chosen",
        "set_aside",
        "reconsidered",
        "claimed",
        "step",
        "results",
        "rejected",
        "attempt_failed",
        "failed",
        "withdrawn",
        "accepted",
        "not_accepted",
        "delivered",
        "retried",
        "paired",
        "not_compared",
        "priors",
        "committed",
        "not_committed",
        "cancelled",
        "urgent",
        "routine",
        "hold",
        "unhold",
        "purged",
    }
