"""Workitems in the audit trail, and on the screen of an operator."""

from datetime import timedelta
from xml.etree import ElementTree as ET

import pytest

from dicom_node.audit.clerk import Parties
from dicom_node.audit.events import Party
from dicom_node.audit.message import AuditSource
from dicom_node.audit.spool import AuditSpool
from dicom_node.audit.trail import AuditTrail
from dicom_node.audit.workitems import WorkitemClerk
from dicom_node.bootstrap.worklists import worklist_alarms
from dicom_node.jobs.state import WorkitemState
from dicom_node.jobs.workitem_audit import WorkitemAudit
from dicom_node.jobs.worklist_ledger import InputSeries, NewWorkitem
from dicom_node.settings.schema import Settings
from dicom_node.settings.worklists import WorklistSettings

NEW = NewWorkitem(
    workitem_uid="1.2.77.1",
    transaction_uid="2.25.1",
    inputs=(InputSeries(study_uid="1.2.3", series_uid="1.2.3.1"),),
    code={},
)


@pytest.fixture
def spool(tmp_path):
    return AuditSpool(tmp_path / "audit", limit=100)


@pytest.fixture
def tick(ledger, clock, spool):
    clerk = WorkitemClerk(
        ledger=WorkitemAudit(ledger.database),
        trail=AuditTrail(spool, AuditSource(source_id="ICHNODE")),
        parties=Parties(node=Party(ae_title="ICHNODE"), peers={"tasks": Party(ae_title="tasks")}),
    )
    since = clock() - timedelta(minutes=1)
    return lambda: clerk.tick(since)


def messages(spool):
    return [ET.fromstring(path.read_bytes()) for path in spool.waiting()]  # noqa: S314 - our own


def test_taking_and_ending_a_workitem_are_audited_once_each(ledger, clock, spool, tick):
    """Procedure Record (110111), update, with the study; a cancelled one is a minor failure."""
    item = ledger.worklists.begin("tasks", NEW, clock())
    tick()
    assert messages(spool) == []

    item = ledger.worklists.claimed(item, clock())
    tick()
    tick()
    ended = ledger.worklists.decide(item, WorkitemState.CANCELING, {"at": ""}, "no head")
    ledger.worklists.finish(ended, WorkitemState.CANCELED, clock(), reason="no head")
    tick()
    tick()

    events = [one.find("EventIdentification") for one in messages(spool)]
    assert [one.find("EventID").get("csd-code") for one in events] == ["110111", "110111"]
    assert [one.get("EventActionCode") for one in events] == ["U", "U"]
    assert [one.get("EventOutcomeIndicator") for one in events] == ["0", "4"]
    studies = [
        one.find("ParticipantObjectIdentification").get("ParticipantObjectID")
        for one in messages(spool)
    ]
    assert studies == ["1.2.3", "1.2.3"]


def test_what_was_never_the_nodes_is_not_audited(ledger, clock, spool, tick):
    """Somebody else was faster: the node has done nothing."""
    item = ledger.worklists.begin("tasks", NEW, clock())
    ledger.worklists.finish(item, WorkitemState.LOST, clock(), reason="not claimed")
    tick()

    assert messages(spool) == []


def test_a_worklist_that_does_not_answer_is_told(ledger, clock):
    """In a sentence, with its reason; one that was taken out of the settings is forgotten."""
    settings = Settings(
        worklists=(WorklistSettings(name="tasks", url="https://vna.example", codes=("A",)),)
    )
    for name in ("tasks", "old"):
        ledger.worklists.failed(name, "no connection", again_at=clock(), now=clock())

    told = worklist_alarms(settings, ledger.worklists.worklists())

    assert told == ("worklist tasks has not answered 1 times in a row: no connection",)
