"""``ichnode urgent``, and what settings call urgent."""

import getpass
import json
from xml.etree import ElementTree as ET

import pytest
from node_builders import Clock, opened_ledger
from site_builder import Site, scan
from typer.testing import CliRunner

from dicom_node.bootstrap.layout import DataLayout
from dicom_node.bootstrap.parts import urgency_rules
from dicom_node.cli.app import app
from dicom_node.intake.instance import SeriesAttributes
from dicom_node.intake.urgency import urgency
from dicom_node.operator_error import OperatorError
from dicom_node.settings.file import parse_settings
from dicom_node.settings.schema import Settings


@pytest.fixture
def layout(tmp_path):
    """Return the data of a node on which two studies wait."""
    layout = DataLayout(root=tmp_path / "data")
    layout.prepare()
    with opened_ledger(layout.ledger) as ledger:
        site = Site(ledger, Clock())
        site.send(scan(1))
        site.send(scan(2))
    return layout


@pytest.fixture
def config(tmp_path, layout):
    path = tmp_path / "node.toml"
    path.write_text(f'[node]\ndata_dir = "{layout.root}"\n')
    return path


def ask(config, *words):
    """Return what a command says; an operator error is raised."""
    done = CliRunner().invoke(app, [*words, "--config", str(config)])
    if isinstance(done.exception, OperatorError):
        raise done.exception
    return done.output


def next_study(layout):
    with opened_ledger(layout.ledger) as ledger:
        site = Site(ledger, Clock())
        site.clock.turn(60)
        return site.claim().task.study_instance_uid


def urgencies(config):
    rows = json.loads(ask(config, "status", "--json"))["series"]
    return {row["study_instance_uid"]: row["urgency"] for row in rows}


def test_the_study_that_is_named_is_analysed_next(config, layout):
    """It waited behind another one; status says that it is urgent, and why."""
    assert "the study, 1 series, is urgent" in ask(config, "urgent", "1.2.2")

    assert urgencies(config) == {"1.2.1": "", "1.2.2": "an operator said so"}
    assert "urgent" in ask(config, "status")
    assert next_study(layout) == "1.2.2"


def test_off_gives_the_study_its_place_back(config, layout):
    """The one that came first is the next one again."""
    ask(config, "urgent", "1.2.2")
    assert "is urgent no more" in ask(config, "urgent", "1.2.2", "--off")

    assert set(urgencies(config).values()) == {""}
    assert next_study(layout) == "1.2.1"


def test_an_audit_trail_names_who_made_it_urgent(config, layout):
    """Use of a restricted function (110132), with the study; nothing where nothing was done."""
    config.write_text(config.read_text() + "\n[audit]\nenabled = true\n")
    ask(config, "urgent", "1.2.2")
    with pytest.raises(OperatorError):
        ask(config, "urgent", "1.2.77")

    (message,) = [ET.fromstring(one.read_bytes()) for one in layout.audit.glob("*.xml")]  # noqa: S314 - our own words

    assert message.find(".//EventTypeCode").get("csd-code") == "110132"
    assert message.find("ParticipantObjectIdentification").get("ParticipantObjectID") == "1.2.2"
    people = [
        one for one in message.iter("ActiveParticipant") if one.get("UserIsRequestor") == "true"
    ]
    assert [one.get("UserID").split("@")[0] for one in people] == [getpass.getuser()]


def test_a_study_that_the_node_never_saw_is_refused(config):
    """A typing error is told at once."""
    with pytest.raises(OperatorError, match=r"no study '1\.2\.77'"):
        ask(config, "urgent", "1.2.77")


def test_stat_and_high_are_urgent_unless_a_site_says_otherwise():
    """The two upper terms of Requested Procedure Priority (PS3.3, C.4.11)."""
    rules = urgency_rules(Settings())

    found = {
        word: bool(urgency([SeriesAttributes(priority=word)], "CT1", rules))
        for word in ("STAT", "HIGH", "ROUTINE", "MEDIUM", "LOW", "")
    }

    assert [word for word, is_urgent in found.items() if is_urgent] == ["STAT", "HIGH"]


def test_callers_priorities_and_rules_come_from_the_file():
    """All three keys of [urgent] reach the office."""
    rules = urgency_rules(
        parse_settings(
            {
                "urgent": {
                    "callers": ["CT-ER"],
                    "priorities": [],
                    "rules": [{"attribute": "study", "pattern": "stroke"}],
                }
            },
            source="node.toml",
            environment={},
        )
    )

    assert urgency([SeriesAttributes()], "CT-ER", rules) == "it came from CT-ER"
    assert urgency([SeriesAttributes(study="Stroke")], "CT1", rules) == "study matches /stroke/"
    assert not urgency([SeriesAttributes(priority="STAT")], "CT1", rules)
