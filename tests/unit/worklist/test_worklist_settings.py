"""What a site may say about worklists, and what contradicts itself."""

import pytest

from dicom_node.settings.file import SettingsError, parse_settings

PACS = {"name": "pacs", "ae_title": "PACS", "host": "10.0.0.7", "port": 104}
#: Where a token lies, not the token.
TOKEN_FILE = {"secret_file": "/run/token"}
ALL = {**PACS, "receives_results": True}


def tasks(**changes):
    return {"name": "tasks", "url": "https://vna.example/web", "codes": ["ICH"], **changes}


def parse(*worklists, peers=(ALL,)):
    document = {"worklists": list(worklists), "peers": list(peers)}
    return parse_settings(document, source="node.toml", environment={})


def test_a_worklist_needs_no_more_than_a_name_an_address_and_what_it_claims():
    """Everything else has a default."""
    (worklist,) = parse(tasks()).worklists

    assert (worklist.images_from, worklist.poll_s, worklist.at_most) == ("", 15.0, 10)


@pytest.mark.parametrize(
    ("worklists", "peers", "words"),
    [
        ([tasks(codes=[])], [ALL], "a code, or a pattern in labels"),
        ([tasks(labels=["("])], [ALL], "a regular expression"),
        ([tasks(images_from="pacs")], [ALL], "the name of a peer with gives_priors"),
        ([tasks(url="http://vna.example/", **TOKEN_FILE)], [ALL], "a secret is sent"),
        ([tasks(), tasks()], [ALL], "no other entry of worklists has"),
        ([tasks()], [PACS], "a completed workitem names where its results are"),
        ([tasks()], [{**ALL, "receives": "findings"}], "a completed workitem names"),
        ([tasks(pols_s=3)], [ALL], "expected poll_s"),
    ],
)
def test_what_cannot_work_is_named(worklists, peers, words):
    """Before a workitem is claimed that nobody can complete."""
    with pytest.raises(SettingsError, match=words):
        parse(*worklists, peers=peers)


def test_images_may_come_from_the_same_server_or_from_a_peer():
    """WADO-RS, or C-MOVE and C-GET of a peer that gives images."""
    assert parse(tasks(images_from="web")).worklists
    giving = {**ALL, "gives_priors": "get"}
    assert parse(tasks(images_from="pacs"), peers=[giving]).worklists
