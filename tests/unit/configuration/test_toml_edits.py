"""Edits change what they name in a settings file, and leave the rest a person's own."""

import tomllib
from pathlib import Path

import pytest

from dicom_node.configuration.edits import AddEntry, ChangeEntry, RemoveEntry, SetValue
from dicom_node.configuration.toml_text import EditError, edited
from dicom_node.settings.file import parse_settings

SHIPPED = Path(__file__).parents[3] / "config" / "node.toml"
PACS = {"name": "pacs", "ae_title": "PACS", "host": "10.0.0.7", "port": 104}

SITE = """\
# Ours.
[node]
port = 11113    # moved in 2025
callers = [
    "CT1",      # emergency room
    { ae_title = "PACS", address = "10.0.0.0/28" },
]

[[peers]]
# the old archive
name = "old"
ae_title = "OLD"
host = "10.0.0.8"
port = 104

# [[web_peers]]
# name = "later"

[web]
port = 8181
"""


def lines_changed(before, after):
    """Return lines that went and lines that came, each sorted."""
    old, new = before.splitlines(), after.splitlines()
    return sorted(set(old) - set(new)), sorted(set(new) - set(old))


def test_a_value_keeps_the_comment_behind_it():
    """Only the number is another one."""
    after = edited(SITE, [SetValue(table="node", key="port", value=104)])

    assert after == SITE.replace("11113", "104")


def test_a_value_that_is_taken_out_leaves_the_default():
    """The line goes; nothing else does."""
    after = edited(SITE, [SetValue(table="web", key="port", value=None)])

    assert lines_changed(SITE, after) == (["port = 8181"], [])


def test_a_peer_is_added_where_peers_belong():
    """In a file without any it stands before the tables that come later, not at the end."""
    text = SHIPPED.read_text(encoding="utf-8")

    after = edited(text, [AddEntry(array="peers", values=PACS)])

    gone, come = lines_changed(text, after)
    assert gone == []
    assert "[[peers]]" in come
    assert after.index("\n[tls]") < after.index("\n[[peers]]") < after.index("\n[assembly]")
    assert tomllib.loads(after)["peers"] == [PACS]


def test_a_second_peer_comes_behind_the_first():
    """What stands between the first and the next table stays between them."""
    after = edited(SITE, [AddEntry(array="peers", values=PACS)])

    assert [one["name"] for one in tomllib.loads(after)["peers"]] == ["old", "pacs"]
    assert lines_changed(SITE, after)[0] == []


def test_a_removed_peer_takes_its_own_comments_along_and_no_others():
    """The example behind it belongs to whoever reads on."""
    after = edited(SITE, [RemoveEntry(array="peers", match={"name": "old"})])

    assert "peers" not in tomllib.loads(after)
    assert '# name = "later"' in after
    assert "the old archive" not in after


def test_adding_and_removing_a_peer_gives_the_same_file():
    """Nothing is left behind."""
    added = edited(SITE, [AddEntry(array="peers", values=PACS)])

    assert edited(added, [RemoveEntry(array="peers", match={"name": "pacs"})]) == SITE


def test_a_changed_peer_keeps_what_was_not_named():
    """None takes a key out."""
    edit = ChangeEntry(array="peers", match={"name": "old"}, values={"port": None, "tls": True})

    (peer,) = tomllib.loads(edited(SITE, [edit]))["peers"]

    assert peer == {"name": "old", "ae_title": "OLD", "host": "10.0.0.8", "tls": True}


def test_a_caller_is_a_text_until_more_is_known_of_it():
    """With an address it becomes a table, in its old place."""
    after = edited(
        SITE,
        [
            ChangeEntry(
                array="node.callers", match={"ae_title": "CT1"}, values={"address": "10.0.0.21"}
            ),
            AddEntry(array="node.callers", values={"ae_title": "CT2"}),
        ],
    )

    assert tomllib.loads(after)["node"]["callers"] == [
        {"ae_title": "CT1", "address": "10.0.0.21"},
        {"ae_title": "PACS", "address": "10.0.0.0/28"},
        "CT2",
    ]
    assert '    { ae_title = "PACS", address = "10.0.0.0/28" },\n' in after


def test_rules_are_added_to_those_that_the_file_lacks():
    """Without the key the node's own rules hold; they may not vanish with the first of a site."""
    rule = {"attribute": "description", "pattern": r"\bTOPO\b"}

    after = edited(SITE, [AddEntry(array="selection.exclude", values=rule)])

    found = parse_settings(tomllib.loads(after), source="test", environment={})
    shipped = parse_settings(tomllib.loads(SHIPPED.read_text()), source="test", environment={})
    assert found.selection.exclude[:-1] == shipped.selection.exclude
    assert found.selection.exclude[-1].pattern == r"\bTOPO\b"
    assert r"'\bTOPO\b'" in after


def test_comments_between_rules_stay():
    """The shipped rules are explained line by line."""
    text = SHIPPED.read_text(encoding="utf-8")
    match = {"attribute": "kernel", "points": -40}

    after = edited(text, [RemoveEntry(array="selection.prefer", match=match)])

    gone, come = lines_changed(text, after)
    assert (len(gone), come) == (1, [])
    assert "FC8" in gone[0]


@pytest.mark.parametrize(
    ("edit", "key", "words"),
    [
        (RemoveEntry(array="peers", match={"name": "new"}), "peers", "there are: old"),
        (RemoveEntry(array="peers", match={}), "peers", "there are: old"),
        (RemoveEntry(array="web_peers", match={"name": "x"}), "web_peers", "none at all"),
        (AddEntry(array="pears", values=PACS), "pears", "node.callers"),
        (AddEntry(array="peers", values={"a = 1\nb": 2}), "key", "letters"),
    ],
)
def test_an_edit_that_does_not_fit_says_what_would(edit, key, words):
    """Found and expected are named, as for any fault of the settings."""
    with pytest.raises(EditError) as caught:
        edited(SITE, [edit])

    assert caught.value.fault.key == key
    assert words in caught.value.fault.expected


def test_no_text_breaks_out_of_its_value():
    """Whatever is typed into a form is one value and nothing else."""
    nasty = "x'\"\\\n[node]\nport = 1\n\x00 ü"

    after = edited(
        SITE,
        [
            SetValue(table="alerts", key="mail_from", value=nasty),
            AddEntry(array="urgent.rules", values={"attribute": "study", "pattern": nasty}),
        ],
    )

    found = tomllib.loads(after)
    assert found["alerts"]["mail_from"] == nasty
    assert found["urgent"]["rules"][-1]["pattern"] == nasty
    assert found["node"]["port"] == 11113
