"""``ichnode health`` and ``ichnode alerts`` as a person and a probe meet them."""

import json
import shutil
import sys
from contextlib import ExitStack
from datetime import timedelta
from types import SimpleNamespace

import pytest
from node_builders import opened_ledger, process_identity
from postgresql_cluster import HAS_PACKAGES

from dicom_node.alerts.alert import Alert
from dicom_node.alerts.book import Book, look
from dicom_node.alerts.shelf import LedgerShelf
from dicom_node.bootstrap.layout import DataLayout
from dicom_node.bootstrap.roles import utc_now
from dicom_node.bootstrap.standing import StandingAlerts
from dicom_node.cli import app as cli
from dicom_node.jobs.documents import Documents
from dicom_node.lockfile import hold_lock
from dicom_node.operator_error import ExitCode
from dicom_node.settings.schema import NodeSettings, Settings


@pytest.fixture
def call(monkeypatch, capsys, tmp_path):
    """Run a command for a node with settings; returns exit code and output."""
    monkeypatch.delenv("ICHNODE_DATA_DIR", raising=False)

    def run(*arguments, settings="free_space_floor_mb = 0\n"):
        config = tmp_path / "node.toml"
        config.write_text(f'[node]\ndata_dir = "{tmp_path}"\n{settings}')
        monkeypatch.setattr(sys, "argv", ["ichnode", *arguments, "--config", str(config)])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        out, err = capsys.readouterr()
        return caught.value.code, out + err

    return run


@pytest.fixture
def node(tmp_path):
    """Have three processes been seen a moment ago."""
    with opened_ledger(tmp_path / "ledger.sqlite") as ledger:
        for name in ("receiver", "worker-0", "office"):
            ledger.presence.enter(process_identity(name, run=name), utc_now())
        yield ledger


@pytest.mark.usefixtures("node")
def test_a_node_that_can_work_is_ready(call):
    """Exit code 0, for probes."""
    assert call("health") == (ExitCode.OK, "ready\n")


@pytest.mark.usefixtures("node")
def test_a_node_without_room_is_not_ready_and_says_why(call):
    """Ten petabytes are free nowhere; the same as JSON for programs."""
    settings = "free_space_floor_mb = 10000000\n"
    code, told = call("health", settings=settings)
    _, document = call("health", "--json", settings=settings)

    assert code == ExitCode.FAILED
    assert "10000000 MB are needed" in told
    assert json.loads(document)["healthy"] is False


@pytest.fixture
def full_disk(monkeypatch):
    """Have no byte free on any disk."""
    usage = SimpleNamespace(total=2**30, used=2**30, free=0)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)


@pytest.fixture
def silent(tmp_path):
    """Have no process been seen for a minute; receiver and office hold their locks all the same.

    A worker held its lock too, and died.
    """
    with opened_ledger(tmp_path / "ledger.sqlite") as ledger, ExitStack() as held:
        for name in ("receiver", "worker-0", "office"):
            identity = process_identity(name, run=name)
            ledger.presence.enter(identity, utc_now() - timedelta(minutes=1))
        layout = DataLayout(root=tmp_path)
        for name in ("receiver", "office"):
            held.enter_context(hold_lock(layout.lock(name)))
        with hold_lock(layout.lock("worker-0")):
            pass
        yield ledger


@pytest.mark.usefixtures("silent", "full_disk")
def test_a_full_disk_is_named_as_what_silences_the_living(call, tmp_path):
    """Their signs of life cannot be written; the one that is dead is told apart from them."""
    code, told = call("health")

    assert code == ExitCode.FAILED
    unable = f"lives, but cannot write its sign of life: the disk of {tmp_path} is full"
    lines = "".join(told.split("\n"))  # wherever the terminal wraps them
    assert f"receiver {unable}" in lines
    assert f"office {unable}" in lines
    assert "worker has not been seen for 20 s" in lines
    assert f"0 MB free on the disk of {tmp_path}" in lines


@pytest.mark.usefixtures("silent", "full_disk")
def test_a_probe_does_not_restart_what_a_full_disk_silences(call):
    """A restart mends no disk; the dead worker is another matter."""
    receiver, told = call("health", "--only", "receiver")
    worker, _ = call("health", "--only", "worker")

    assert (receiver, worker) == (ExitCode.OK, ExitCode.FAILED)
    assert "the disk is full" in told


@pytest.mark.usefixtures("silent")
def test_who_is_silent_though_there_is_room_is_not_taken_for_living(call):
    """A process that hangs holds its lock, too."""
    code, told = call("health")

    assert code == ExitCode.FAILED
    assert [line for line in told.splitlines() if "seen" in line] == [
        f"{role} has not been seen for 20 s" for role in ("receiver", "worker", "office")
    ]


@pytest.mark.usefixtures("full_disk")
def test_no_alert_calls_those_dead_that_a_full_disk_silences(silent, tmp_path):
    """One for the disk, one for the process that is gone."""
    settings = Settings(node=NodeSettings(data_dir=tmp_path, free_space_floor_mb=0))
    standing = StandingAlerts(silent, settings=settings, clock=utc_now, node_since=utc_now())

    assert {alert.key for alert in standing.look()} == {"disk", "process:worker"}


def test_where_no_node_has_worked_nothing_is_ready(call):
    """A probe may come before the first start."""
    code, told = call("health")

    assert code == ExitCode.FAILED
    assert "no node has worked" in told


@pytest.mark.skipif(not HAS_PACKAGES, reason="psycopg or procrastinate is missing")
def test_who_waits_for_a_database_that_is_away_is_named(call, tmp_path):
    """Nobody listens on port 1; the receiver is there, the worker is not."""
    settings = 'ledger = "postgresql://ichnode@127.0.0.1:1/ichnode"\n'
    with hold_lock(DataLayout(root=tmp_path).lock("receiver")):
        code, told = call("health", settings=settings)
        receiver, lives = call("health", "--only", "receiver", settings=settings)
        worker, _ = call("health", "--only", "worker", settings=settings)

    assert code == ExitCode.FAILED
    assert "Connection refused" in told
    assert told.rstrip().endswith("; waiting for it: receiver")
    assert (receiver, worker) == (ExitCode.OK, ExitCode.FAILED)
    assert "lives and waits" in lives


def test_alerts_that_stand_are_listed_with_exit_code_4(call, node):
    """As the office last saw them."""
    quiet = call("alerts", "list")
    alert = Alert(key="disk", sentence="Less than 1024 MB are free")
    LedgerShelf(Documents(node.database)).write(look(Book(), [alert], utc_now()))

    code, told = call("alerts", "list")
    _, document = call("alerts", "list", "--json")

    assert quiet == (ExitCode.OK, "no alert stands\n")
    assert code == ExitCode.ALARM
    assert "Less than 1024 MB are free" in told
    assert json.loads(document)[0]["key"] == "disk"


def test_a_test_without_channels_says_which_settings_make_one(call):
    """Nobody would get it."""
    code, told = call("alerts", "test")

    assert code == ExitCode.FAILED
    assert "alerts.webhook_url" in told


def test_a_channel_that_does_not_take_the_test_is_named(call):
    """Port 1 is not listened on."""
    settings = '[alerts]\nwebhook_url = "http://127.0.0.1:1/"\n'

    code, told = call("alerts", "test", settings=settings)

    assert code == ExitCode.FAILED
    assert told == "webhook: 127.0.0.1 port 1 was not reached: Connection refused\n"
