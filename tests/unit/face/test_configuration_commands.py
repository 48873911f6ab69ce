"""An operator changes the node from the command line, and everything is remembered."""

import json
import tomllib

import pytest
from ct_builder import save_series
from node_builders import Clock, arrive, opened_ledger, small_series
from typer.testing import CliRunner

from dicom_node.bootstrap.layout import DataLayout
from dicom_node.cli.app import app
from dicom_node.intake.assembly import AssemblyRules
from dicom_node.intake.default_rules import DEFAULT_RULES
from dicom_node.jobs.office import AssemblyOffice
from dicom_node.operator_error import OperatorError

SITE = """\
# Ours.
[node]
data_dir = "{data}"
port = 11113  # moved
"""


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "node.toml"
    path.write_text(SITE.format(data=tmp_path / "data"))
    return path


@pytest.fixture
def call(config, monkeypatch):
    """Run a command with this site's settings; returns exit code and output."""
    monkeypatch.delenv("SUDO_USER", raising=False)
    monkeypatch.setattr("getpass.getuser", lambda: "ada")

    def run(*arguments):
        done = CliRunner().invoke(app, [*arguments, "--config", str(config)])
        if isinstance(done.exception, OperatorError):
            return done.exception.exit_code, str(done.exception)
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return done.exit_code, done.output

    return run


def read(config):
    return tomllib.loads(config.read_text())


def test_a_value_is_set_and_told(call, config):
    """What was changed, when it takes effect, who did it and why."""
    code, out = call("config", "set", "node.port", "11114", "--why", "new switch")

    assert code == 0
    assert "+port = 11114  # moved" in out
    assert "takes effect within seconds" in out
    assert read(config)["node"]["port"] == 11114
    *_, last = json.loads(call("config", "history", "--json")[1])
    assert (last["who"], last["why"], last["tables"]) == ("ada", "new switch", ["node"])
    assert "-port = 11113" in call("config", "history", "2")[1]
    assert call("config", "set", "node.port", "11114")[1].endswith("says that already\n")


def test_a_change_can_be_undone(call, config):
    """The newest one by default; the undoing can be undone, too."""
    before = config.read_text()
    call("config", "set", "worker.device", "cpu")
    after = config.read_text()

    assert call("config", "rollback")[0] == 0
    assert config.read_text() == before
    assert call("config", "diff", "1")[1] == ""
    assert '-device = "cpu"' in call("config", "diff", "2")[1]
    call("config", "rollback", "2")
    assert config.read_text() == after
    assert call("config", "rollback", "77")[0] == 1


def test_faults_are_named_and_nothing_is_changed(call, config):
    """Exit code 2, as for every wrong settings file."""
    before = config.read_text()

    code, told = call("config", "set", "node.port", "high")

    assert code == 2
    assert "node.port" in told
    assert config.read_text() == before
    assert call("config", "set", "port", "1")[0] == 2
    assert call("config", "check") == (0, f"{config}: no faults\n")
    config.write_text("[node]\nport = 0\nprot = 1\n")
    code, told = call("config", "check", "--json")
    assert code == 2
    assert {one["key"] for one in json.loads(told)} == {"node.port", "node.prot"}


def test_the_settings_are_shown_with_what_the_site_set(call):
    """A site sees what differs from the default."""
    code, out = call("config", "show", "--changed")

    assert code == 0
    assert "node.port" in out
    assert "delivery.attempts" not in out
    shown = json.loads(call("config", "show", "worker", "--json")[1])["settings"]
    assert list(shown) == ["worker"]
    assert call("config", "show", "wrecker")[0] == 2


def test_peers_are_added_changed_and_removed(call, config):
    """DICOM and DICOMweb, by the same words."""
    assert call("peers", "add", "pacs", "PACS@10.0.0.7:104", "--receives-results")[0] == 0
    assert call("peers", "add", "vna", "https://vna.example/dicom-web")[0] == 0
    call("peers", "change", "pacs", "--set", "report_first=true", "--set", "associations=2")
    code, out = call("peers", "change", "pacs", "NEW@10.0.0.8:11112", "--set", "report_first=")

    assert code == 0, out
    (peer,) = read(config)["peers"]
    assert peer == {
        "name": "pacs",
        "ae_title": "NEW",
        "host": "10.0.0.8",
        "port": 11112,
        "receives_results": True,
        "associations": 2,
    }
    names = [one["name"] for one in json.loads(call("peers", "list", "--json")[1])]
    assert names == ["pacs", "vna"]
    assert "associations" in call("peers", "show", "pacs")[1]
    assert call("peers", "add", "pacs", "PACS@10.0.0.7:104")[0] == 2
    assert call("peers", "add", "x", "nowhere")[0] == 2
    assert call("peers", "change", "pacs")[0] == 2
    call("peers", "remove", "pacs")
    call("peers", "remove", "vna")
    assert "peers" not in read(config)
    assert call("peers", "remove", "pacs")[0] == 2


def test_callers_are_added_changed_and_removed(call, config):
    """A title alone is a text; the default ones are written out with the first change."""
    call("callers", "add", "CT1", "--address", "10.0.0.21", "--may", "echo", "--may", "store")
    call("callers", "remove", "DCMSEND")
    call("callers", "change", "CT1", "--set", "max_associations=4", "--set", "may=")

    assert read(config)["node"]["callers"] == [
        "ICHNODE",
        "STORESCU",
        "ECHOSCU",
        {"ae_title": "CT1", "address": "10.0.0.21", "max_associations": 4},
    ]
    assert "10.0.0.21" in call("callers", "list")[1]
    assert call("callers", "remove", "NOBODY")[0] == 2


def test_rules_are_added_and_removed_by_number(call):
    """The node's own rules stay in force beside those of a site."""
    own = len(DEFAULT_RULES.exclude)

    assert call("rules", "add", "exclude", "description", r"\bTOPO\b")[0] == 0
    assert call("rules", "add", "prefer", "kernel", "^H30", "--points", "5")[0] == 0
    assert call("rules", "add", "prefer", "kernel", "^H31")[0] == 2
    assert call("rules", "add", "exclude", "kernel", "(")[0] == 2
    assert call("rules", "remove", "exclude", "1")[0] == 0

    rules = json.loads(call("rules", "list", "--json")[1])
    assert len(rules["exclude"]) == own
    assert rules["exclude"][-1] == {"attribute": "description", "pattern": r"\bTOPO\b"}
    assert rules["prefer"][-1]["points"] == 5
    assert call("rules", "remove", "exclude", "99")[0] == 2
    assert call("rules", "remove", "forbid", "1")[0] == 2


def test_rules_are_tried_on_a_folder_without_a_node(call, tmp_path):
    """Which series would be taken, why not the others, and what each rule found."""
    save_series(small_series(seed=1, study_uid="1.2.1"), tmp_path / "a")
    spine = small_series(seed=2, study_uid="1.2.1")
    for one in spine:
        one.SeriesDescription = "C-spine"
    save_series(spine, tmp_path / "b")

    verdicts = json.loads(call("rules", "test", str(tmp_path), "--json")[1])

    assert [one["taken"] for one in verdicts] == [True, False]
    assert "spine" in verdicts[1]["reason"]
    assert verdicts[1]["attributes"]["description"] == "C-spine"
    assert "taken" in call("rules", "test", str(tmp_path / "a"))[1]
    assert call("rules", "test", str(tmp_path / "nothing"))[0] == 1


@pytest.fixture
def received(tmp_path):
    """Return the Study Instance UID of a study that was received and chosen."""
    layout = DataLayout(root=tmp_path / "data")
    layout.prepare()
    clock = Clock()
    with opened_ledger(layout.ledger) as ledger:
        arrive(ledger, small_series(study_uid="1.2.3"), clock)
        clock.turn(5)
        AssemblyOffice(
            ledger=ledger, assembly=AssemblyRules(), selection=DEFAULT_RULES, clock=clock
        ).tick()
    return "1.2.3"


def test_rules_are_tried_on_a_received_study(call, received):
    """Under the rules as they are now, not as they were."""
    assert "taken" in call("rules", "test", received)[1]

    call("rules", "add", "include", "description", "no such word")

    (verdict,) = json.loads(call("rules", "test", received, "--json")[1])
    assert not verdict["taken"]
    assert "no rule includes it" in verdict["reason"]


def test_studies_are_found_and_told(call, received):
    """By the beginning of a UID, by state, by sender; with the whole history."""
    assert received in call("studies", "list")[1]
    for arguments in (("1.2",), ("--state", "queued"), ("--caller", "MODALITY")):
        assert json.loads(call("studies", "list", *arguments, "--json")[1])["total"] == 1
    assert json.loads(call("studies", "list", "--state", "failed", "--json")[1])["total"] == 0
    assert call("studies", "list", "--since", "yesterday")[0] == 2

    code, out = call("studies", "show", received)
    assert code == 0
    assert "first_image" in out
    told = json.loads(call("studies", "show", received, "--json")[1])
    assert told["series"][0]["timeline"][0]["kind"] == "first_image"
    assert call("studies", "show", "1.9")[0] == 1
    assert call("studies", "rerun", "1.9")[0] == 1


def test_the_card_says_what_to_enter_at_the_pacs(call):
    """The same facts as text and as JSON."""
    call("callers", "add", "PACS")
    text = call("peers", "card")[1]
    card = json.loads(call("peers", "card", "--json")[1])

    assert card["ae_title"] == "ICHNODE"
    assert card["port"] == 11113
    assert card["tls_port"] is None
    assert any("1.2.840.10008.5.1.4.1.1.66.4" in one for one in card["sends"])
    for words in ("ICHNODE", "11113", "this machine alone"):
        assert words in text


def test_completion_is_offered(monkeypatch):
    """Shells can be told the commands."""
    monkeypatch.setattr("shellingham.detect_shell", lambda: ("bash", "/bin/bash"))
    told = CliRunner().invoke(app, ["--show-completion"]).output

    assert "_ICHNODE_COMPLETE" in told or "complete_bash" in told
