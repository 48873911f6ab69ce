"""``ichnode health`` and ``ichnode alerts`` as a person and a probe meet them."""

import json
import sys

import pytest
from node_builders import opened_ledger, process_identity

from dicom_node.alerts.alert import Alert
from dicom_node.alerts.book import Book, look
from dicom_node.alerts.shelf import LedgerShelf
from dicom_node.bootstrap.roles import utc_now
from dicom_node.cli import app as cli
from dicom_node.jobs.documents import Documents
from dicom_node.operator_error import ExitCode


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


def test_where_no_node_has_worked_nothing_is_ready(call):
    """A probe may come before the first start."""
    code, told = call("health")

    assert code == ExitCode.FAILED
    assert "no node has worked" in told


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
