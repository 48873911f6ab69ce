"""The manual says of every setting when it takes effect, and the node does just that."""

from pathlib import Path

import pytest

from dicom_node.configuration.effects import EFFECTS, Effect, effect_of, with_kept
from dicom_node.settings.schema import Settings

MANUAL = Path(__file__).parents[3] / "docs" / "configuration.md"


def test_the_manual_has_the_table_of_the_code():
    """Row by row."""
    rows = [line for line in MANUAL.read_text(encoding="utf-8").splitlines() if "| `" in line]

    assert rows == [f"| `{name}` | {effect} |" for name, effect in EFFECTS.items()]


@pytest.mark.parametrize("table", Settings.model_fields)
def test_every_table_has_a_row(table):
    """A table that somebody adds must be thought about; until then it waits for a restart."""
    assert table in EFFECTS


@pytest.mark.parametrize("name", EFFECTS)
def test_every_row_is_a_setting(name):
    """A renamed key would wait for nothing."""
    table, _, key = name.partition(".")
    found = getattr(Settings(), table)

    assert not key or key in type(found).model_fields


def test_only_what_needs_a_restart_is_held_back():
    """All else of the new settings is in force."""
    present = Settings()
    node = present.node.model_copy(update={"port": 104, "data_dir": Path("/elsewhere")})
    found = present.model_copy(
        update={"node": node, "log": present.log.model_copy(update={"format": "json"})}
    )

    kept = with_kept(present, found)

    assert kept.node.port == 104
    assert kept.node.data_dir == present.node.data_dir
    assert kept.log == present.log
    assert effect_of("node", "data_dir") is effect_of("log") is Effect.RESTART
    assert effect_of("a new table") is Effect.RESTART
