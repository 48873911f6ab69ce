"""``ichnode deliveries``: an operator looks, holds, retries and cancels."""

import json

import pytest
from node_builders import Clock, arrive, opened_ledger, small_series, stored_objects
from typer.testing import CliRunner

from dicom_node.bootstrap.layout import DataLayout
from dicom_node.cli.app import app
from dicom_node.delivery_alarms import delivery_alarms
from dicom_node.intake.assembly import AssemblyRules
from dicom_node.intake.default_rules import DEFAULT_RULES
from dicom_node.jobs.delivery_ledger import Failure
from dicom_node.jobs.office import AssemblyOffice
from dicom_node.operator_error import OperatorError

SETTINGS = """
[node]
data_dir = "{data_dir}"

[[peers]]
name = "pacs"
ae_title = "PACS"
host = "127.0.0.1"
port = 104
receives_results = true
"""

DUMP = "context 1: Segmentation Storage in Explicit VR Little Endian: refused"


@pytest.fixture
def config(tmp_path):
    """Return the settings of a node whose PACS took captures and refused the segmentation."""
    layout = DataLayout(root=tmp_path / "data")
    layout.prepare()
    clock = Clock()
    with opened_ledger(layout.ledger) as ledger:
        arrive(ledger, small_series(), clock)
        clock.turn(5)
        AssemblyOffice(
            ledger=ledger, assembly=AssemblyRules(), selection=DEFAULT_RULES, clock=clock
        ).tick()
        claim = ledger.jobs.claim("w", now=clock(), lease_s=60, time_limit_s=600)
        ledger.jobs.complete(
            claim,
            stored_objects(),
            model_digest="m",
            configuration_digest="c",
            destinations=("pacs",),
            record={},
            now=clock(),
        )
        parcel = ledger.deliveries.claim("pacs", "c", now=clock(), lease_s=60)
        ledger.deliveries.accept(parcel.items[0], "accepted", now=clock())
        for item in parcel.items[1:]:
            ledger.deliveries.postpone(
                item,
                "no SEG here",
                failure=Failure.REFUSED,
                again_at=None,
                now=clock(),
                negotiation=DUMP,
            )
    path = tmp_path / "node.toml"
    path.write_text(SETTINGS.format(data_dir=layout.root))
    return path


def ask(config, *words):
    done = CliRunner().invoke(app, ["deliveries", *words, "--config", str(config)])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.stdout


def listed(config, *words):
    return json.loads(ask(config, "list", "--json", *words))


def test_the_list_shows_what_is_not_at_its_end_and_raises_the_alarm(config):
    """Two dead letters, with their reason; the capture that arrived is not shown."""
    text = ask(config, "list")

    assert text.count("no SEG here") == 2
    assert "captures" not in text
    assert "2 objects for pacs given up: ichnode deliveries list --state dead" in text


def test_json_says_everything(config):
    """For programs: destinations and deliveries."""
    document = listed(config, "--state", "dead")

    assert [one["kind"] for one in document["deliveries"]] == ["segmentation", "report"]
    assert document["destinations"][0]["dead"] == 2
    assert listed(config, "--destination", "archive")["deliveries"] == []


def test_one_delivery_is_shown_with_its_negotiation(config):
    """The administrator of the PACS reads which context was refused."""
    number = listed(config)["deliveries"][0]["delivery_id"]

    text = ask(config, "show", str(number))

    assert "no SEG here" in text
    assert json.loads(ask(config, "show", str(number), "--json"))["reason"] == "no SEG here"
    assert DUMP in text


def test_a_destination_is_held_and_released(config):
    """The alarm says since when and why, until it is released."""
    ask(config, "hold", "pacs", "--reason", "migration")
    held = ask(config, "list")
    ask(config, "release", "pacs")

    assert "pacs is held since" in held
    assert "(migration)" in held
    assert "is held" not in ask(config, "list")
    with pytest.raises(OperatorError, match="pacs is not held"):
        ask(config, "release", "pacs")
    with pytest.raises(OperatorError, match="no peer is called 'nobody'"):
        ask(config, "hold", "nobody")


def test_deliveries_are_retried_and_cancelled_by_number(config):
    """One is sent again, the other one is given up; a third does not exist."""
    first, second = (one["delivery_id"] for one in listed(config)["deliveries"])

    assert "1 object is sent again" in ask(config, "retry", str(first))
    assert "1 delivery was cancelled" in ask(config, "cancel", str(second))

    states = {one["delivery_id"]: one["state"] for one in _all(config)}
    assert (states[first], states[second]) == ("pending", "cancelled")
    with pytest.raises(OperatorError, match="There is no delivery 404"):
        ask(config, "retry", "404")
    with pytest.raises(OperatorError, match="there are: pending, sending, accepted"):
        ask(config, "list", "--state", "lost")


def _all(config):
    states = ("pending", "dead", "cancelled", "accepted")
    options = [word for state in states for word in ("--state", state)]
    return listed(config, *options)["deliveries"]


def test_a_node_without_trouble_raises_no_alarm():
    """Nothing to say about nothing."""
    assert delivery_alarms([], known=()) == ()


def test_what_waits_for_a_destination_that_is_gone_raises_an_alarm(config):
    """A peer was taken out of the settings: nobody will ever send that."""
    first, _ = (one["delivery_id"] for one in listed(config)["deliveries"])
    ask(config, "retry", str(first))
    config.write_text(config.read_text().replace("receives_results = true", ""))

    assert "1 object waiting for pacs, which is no destination any more" in ask(config, "list")


def test_the_status_raises_the_alarm_too(config):
    """Nobody need look at the list to learn of a dead letter."""
    done = CliRunner().invoke(app, ["status", "--json", "--config", str(config)])

    warnings = json.loads(done.stdout)["health"]["warnings"]
    assert "2 objects for pacs given up: ichnode deliveries list --state dead" in warnings
