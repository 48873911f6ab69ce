"""``ichnode retention plan``, ``hold``, ``unhold`` and ``purge`` as an operator meets them."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from node_builders import Clock, opened_ledger
from retention_builder import RetentionSite
from typer.testing import CliRunner

from dicom_node.bootstrap.audit import audit_spool
from dicom_node.bootstrap.retention import retention_rules
from dicom_node.bootstrap.status import LedgerStatus
from dicom_node.cli.app import app
from dicom_node.jobs.retention import AgeRule
from dicom_node.operator_error import OperatorError
from dicom_node.settings.file import SettingsError, load_settings, parse_settings
from dicom_node.settings.schema import Settings

CONFIG = """
[node]
data_dir = "{root}"
free_space_floor_mb = 1
[audit]
enabled = true
[retention]
emergency_free_mb = 0
"""


class Site:
    """A node that has delivered one study, and its commands."""

    def __init__(self, root):
        self.root = root / "data"
        self.config = root / "node.toml"
        self.config.write_text(CONFIG.format(root=self.root))
        self.root.mkdir()
        self.clock = Clock()
        self.clock.now = datetime.now(UTC) - timedelta(days=60)
        with opened_ledger(self.root / "ledger.sqlite") as ledger:
            self.series = RetentionSite(self.root, ledger, self.clock).finished(slices=10)
        self.study = self.series[0].StudyInstanceUID

    @property
    def settings(self):
        return load_settings(self.config, {})

    def call(self, *words):
        """Return exit code and output of a command."""
        done = CliRunner().invoke(app, [*words, "--config", str(self.config)])
        if isinstance(done.exception, OperatorError):
            return int(done.exception.exit_code), done.output + str(done.exception)
        return done.exit_code, done.output

    def images(self):
        return len(list((self.root / "spool").glob("*/*.dcm")))

    def row(self):
        with opened_ledger(self.root / "ledger.sqlite") as ledger:
            status = LedgerStatus(
                ledger.reports, settings=self.settings, clock=lambda: datetime.now(UTC)
            )
            return status.row(self.series[0].SeriesInstanceUID)


@pytest.fixture
def site(tmp_path):
    return Site(tmp_path)


def test_the_plan_says_what_goes_and_that_it_is_turned_off(site):
    """Images and results are older than 30 days, the summary is kept for 90."""
    code, said = site.call("retention", "plan")

    assert code == 0
    assert "retention is turned off" in said
    assert "goes now: 13 files" in said
    assert "goes later: 1 files" in said
    assert site.images() == 10


def test_the_plan_is_there_for_programs(site):
    """With everything that a table shows."""
    code, said = site.call("retention", "plan", "--json")
    document = json.loads(said)

    assert code == 0
    assert [one["kind"] for one in document["by_age"]] == ["images", "results"]
    assert [one["kind"] for one in document["later"]] == ["summary"]
    assert document["enabled"] is False


def test_a_study_on_hold_is_shown_and_not_purged(site):
    """In plan and status, with the reason; nobody purges it by hand."""
    assert site.call("hold", site.study, "--why", "letter of 3 May")[0] == 0

    code, said = site.call("purge", "--study", site.study, "--yes")
    planned = site.call("retention", "plan")[1]

    assert code == 1
    assert "legal hold" in said
    assert "letter of 3 May" in planned
    assert "3 stay: its study is on legal hold" in planned
    assert "on hold: letter of 3 May" in site.row().custody
    assert site.images() == 10

    assert site.call("unhold", site.study)[0] == 0
    assert site.call("purge", "--study", site.study, "--yes")[0] == 0
    assert site.images() == 0


def test_a_purge_by_hand_leaves_nothing_but_what_the_ledger_knows(site):
    """Files are gone, the opinion stays, and the status says when the images went."""
    code, said = site.call("purge", "--study", site.study, "--yes")

    assert code == 0
    assert "purged: 14 files" in said
    assert list((site.root / "outbox").glob("*/*.dcm")) == []
    assert list((site.root / "summaries").iterdir()) == []
    assert site.row().purged_at
    assert site.row().state == "delivered"


def test_nobody_is_purged_by_a_slip(site):
    """Without a terminal and without --yes nothing happens; nor to an unknown study."""
    assert site.call("purge", "--study", site.study)[0] == 2
    assert site.call("purge", "--study", "1.2.3", "--yes")[0] == 1
    assert site.call("hold", "1.2.3", "--why", "x")[0] == 1
    assert site.call("hold", site.study, "--why", " ")[0] == 2
    assert site.call("unhold", site.study)[0] == 1
    assert site.images() == 10


def test_a_hold_is_in_the_audit_trail(site):
    """As an intervention of a person."""
    site.call("hold", site.study, "--why", "letter")

    (waiting,) = audit_spool(site.settings).waiting()

    assert b"110113" in waiting.read_bytes()


def test_settings_become_rules():
    """Zero days are for good; without follow-up nobody waits for one."""
    document = {
        "retention": {"analysed_days": 0, "keep_committed_days": 0, "emergency_free_mb": 2048},
        "follow_up": {"enabled": False},
    }
    rules = retention_rules(parse_settings(document, source="test", environment={}))

    assert AgeRule.ANALYSED not in rules.ages
    assert rules.ages[AgeRule.SET_ASIDE] == timedelta(days=7)
    assert (rules.keep_committed, rules.follow_up_window) == (None, timedelta(0))
    assert rules.emergency_free_bytes == 2 * 2**30
    assert rules.has_destinations is False


def test_nothing_is_purged_unless_a_site_wants_it():
    """An upgrade deletes nothing."""
    assert Settings().retention.enabled is False


def test_an_emergency_that_begins_too_late_is_a_fault():
    """Images would be refused before room is made."""
    document = {"retention": {"enabled": True, "emergency_free_mb": 500}}

    with pytest.raises(SettingsError, match="emergency_free_mb"):
        parse_settings(document, source="test", environment={})
