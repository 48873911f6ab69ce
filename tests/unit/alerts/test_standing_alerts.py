"""What is wrong with a node, as its ledger, disk and settings say."""

import pytest
from node_builders import Clock, arrive, opened_ledger, process_identity, small_series

from dicom_node.bootstrap.layout import DataLayout
from dicom_node.bootstrap.standing import StandingAlerts
from dicom_node.jobs.alarm_memory import AlarmMemory
from dicom_node.jobs.destination_ledger import BreakerRules
from dicom_node.settings.schema import (
    AlertSettings,
    AuditSettings,
    NodeSettings,
    Settings,
    SilenceSettings,
)
from dicom_node.settings.worklists import WorklistSettings


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def ledger(tmp_path, clock):
    with opened_ledger(tmp_path / "ledger.sqlite") as opened:
        for name in ("receiver", "worker-0", "office"):
            opened.presence.enter(process_identity(name, run=name), clock())
        yield opened


def keys(ledger, tmp_path, clock, *, node_since=None, **options):
    settings = Settings(node=NodeSettings(data_dir=tmp_path, **options.pop("node", {})), **options)
    standing = StandingAlerts(
        ledger, settings=settings, clock=clock, node_since=node_since or clock()
    )
    return {alert.key: alert.sentence for alert in standing.look()}


def test_a_node_that_works_has_no_alert(ledger, tmp_path, clock):
    """All processes live, the disk has room, nothing waits."""
    assert keys(ledger, tmp_path, clock, node={"free_space_floor_mb": 0}) == {}


def test_a_process_that_is_gone_is_named(ledger, tmp_path, clock):
    """The worker has ended; nobody took its place."""
    ledger.presence.leave(process_identity("worker-0", run="worker-0"), clock())

    found = keys(ledger, tmp_path, clock, node={"free_space_floor_mb": 0})

    assert found == {"process:worker": "The worker has not been seen for 20 s"}


def test_a_full_disk_is_an_alert(ledger, tmp_path, clock):
    """Ten petabytes are not free anywhere."""
    found = keys(ledger, tmp_path, clock, node={"free_space_floor_mb": 10_000_000})

    assert list(found) == ["disk"]


def test_a_destination_is_named_without_the_words_of_its_peer(ledger, tmp_path, clock):
    """A peer may quote a patient's name in its error comment."""
    ledger.destinations.failed(
        "pacs", "cannot store DOE^JANE", rules=BreakerRules(failures=1), now=clock()
    )

    found = keys(ledger, tmp_path, clock, node={"free_space_floor_mb": 0})

    assert found == {"delivery:pacs:away": "pacs is out of reach; results wait for it"}


def test_a_silent_caller_is_an_alert(ledger, tmp_path, clock):
    """The series came at the start; the node has been up for three hours."""
    since = clock()
    arrive(ledger, small_series(slices=2), clock)
    clock.turn(3 * 3600)
    for name in ("receiver", "worker-0", "office"):
        ledger.presence.beat(process_identity(name, run=name), clock())

    found = keys(
        ledger,
        tmp_path,
        clock,
        node={"free_space_floor_mb": 0},
        node_since=since,
        alerts=AlertSettings(
            silence=(
                SilenceSettings(caller="MODALITY", hours=2.5),
                SilenceSettings(caller="OTHER", hours=4),
            )
        ),
    )

    assert found == {"silence:MODALITY": "No image from MODALITY for more than 2.5 h"}


def test_an_alarm_of_the_watch_is_an_alert(ledger, tmp_path, clock):
    """Whatever the office last saw."""
    AlarmMemory(ledger.database).exchange(["auc_low"])

    found = keys(ledger, tmp_path, clock, node={"free_space_floor_mb": 0})

    assert list(found) == ["watch:auc_low"]


def test_audit_messages_that_nobody_takes_are_an_alert(ledger, tmp_path, clock):
    """A message of two hours ago, by the time in its name; only while the trail is on."""
    folder = DataLayout(root=tmp_path).audit
    folder.mkdir()
    written_ns = int((clock().timestamp() - 7200) * 1e9)
    (folder / f"{written_ns:020d}-1-000000.xml").touch()
    room = {"free_space_floor_mb": 0}

    found = keys(ledger, tmp_path, clock, node=room, audit=AuditSettings(enabled=True))

    assert list(found) == ["audit"]
    assert keys(ledger, tmp_path, clock, node=room) == {}


def test_a_worklist_that_stays_away_is_an_alert(ledger, tmp_path, clock):
    """After five failures in a row; one that was taken out of the settings is none."""
    worklists = (WorklistSettings(name="tasks", url="https://vna.example", codes=("A",)),)
    options = {"node": {"free_space_floor_mb": 0}, "worklists": worklists}
    for name in ("tasks", "old"):
        for _ in range(4):
            ledger.worklists.failed(name, "POISON", again_at=clock(), now=clock())
    assert keys(ledger, tmp_path, clock, **options) == {}

    for name in ("tasks", "old"):
        ledger.worklists.failed(name, "POISON", again_at=clock(), now=clock())

    assert keys(ledger, tmp_path, clock, **options) == {
        "worklist:tasks:away": "The worklist tasks does not answer: ichnode worklist"
    }
