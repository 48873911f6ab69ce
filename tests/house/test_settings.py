"""Every setting is in the file, in the manual, and says its default."""

import tomllib
from pathlib import Path

import pytest
from pydantic import BaseModel

from dicom_node.association.callers import Permission
from dicom_node.intake import selection
from dicom_node.intake.default_rules import DEFAULT_RULES
from dicom_node.settings.file import load_settings
from dicom_node.settings.schema import (
    CallerPermission,
    PeerSettings,
    SeriesAttribute,
    Settings,
    WebPeerSettings,
)
from dicom_node.settings.worklists import WorklistSettings

ROOT = Path(__file__).parents[2]
NODE_TOML = ROOT / "config" / "node.toml"
RULES = {"include", "exclude", "prefer"}
LISTS = {"peers": PeerSettings, "web_peers": WebPeerSettings, "worklists": WorklistSettings}


def keys():
    """Return every key of the settings as ``table.key``."""
    for table, field in Settings.model_fields.items():
        model = LISTS.get(table, field.annotation)
        assert issubclass(model, BaseModel)
        for key in model.model_fields:
            yield table, key


def test_the_shipped_file_holds_every_setting():
    """Nothing can be set that the file does not show; peers stand there as an example."""
    text = NODE_TOML.read_text(encoding="utf-8")
    document = tomllib.loads(text)

    for table, key in keys():
        if table in LISTS:
            assert f"# {key} = " in text
        else:
            assert key in document[table]


def test_the_example_peer_works_once_its_marks_are_removed(tmp_path):
    """The commented block is no worse than the rest of the file."""
    lines = NODE_TOML.read_text(encoding="utf-8").splitlines()
    for example in ("# [[peers]]", "# [[web_peers]]", "# [[worklists]]"):
        start = lines.index(example)
        end = lines.index("", start)
        lines[start:end] = [line.removeprefix("# ") for line in lines[start:end]]
    path = tmp_path / "node.toml"
    path.write_text("\n".join(lines), encoding="utf-8")

    settings = load_settings(path, {})

    assert [peer.name for peer in settings.destinations] == ["pacs"]
    assert [peer.name for peer in settings.web_destinations] == ["vna"]
    assert [worklist.name for worklist in settings.worklists] == ["tasks"]


def test_the_shipped_file_says_the_defaults():
    """What the file shows is what happens without it."""
    shipped = load_settings(NODE_TOML, {})

    leave_out = {"selection": RULES}
    assert shipped.model_dump(exclude=leave_out) == Settings().model_dump(exclude=leave_out)


def test_the_shipped_rules_are_the_default_rules():
    """The patterns stand in two places and may not drift apart."""
    shipped = load_settings(NODE_TOML, {}).selection

    assert shipped.include == ()
    assert DEFAULT_RULES.include == ()
    assert [(rule.attribute.value, rule.pattern) for rule in shipped.exclude] == [
        (rule.attribute.value, rule.pattern) for rule in DEFAULT_RULES.exclude
    ]
    assert [(rule.attribute.value, rule.pattern, rule.points) for rule in shipped.prefer] == [
        (one.rule.attribute.value, one.rule.pattern, one.points) for one in DEFAULT_RULES.prefer
    ]


def test_a_rule_may_look_at_what_the_intake_can_see():
    """The settings keep their own list so that loading them stays quick."""
    assert [one.value for one in SeriesAttribute] == [
        one.value for one in selection.SeriesAttribute
    ]


def test_a_caller_may_do_what_the_receiver_can_tell_apart():
    """Likewise a list of its own."""
    assert list(CallerPermission) == [one.value for one in Permission]


@pytest.mark.parametrize(("table", "key"), list(keys()))
def test_every_setting_is_in_the_operation_manual(table, key):
    """The manual's table names it."""
    manual = (ROOT / "docs" / "operation.md").read_text(encoding="utf-8")

    assert f"| `{table}.{key}` |" in manual


@pytest.mark.parametrize(
    "path", sorted((ROOT / "config").rglob("*.toml")), ids=lambda path: path.name
)
def test_every_configuration_file_is_toml(path):
    """A file that does not load is found here."""
    assert tomllib.loads(path.read_text(encoding="utf-8"))
