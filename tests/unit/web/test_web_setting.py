"""Any key of the settings in the browser: explained, looked at, then saved."""

import pytest
from web_builder import csrf_of, post

from dicom_node.configuration.setting_keys import explanations, setting_keys
from dicom_node.settings.schema import Settings
from dicom_node.users.role import UserRole
from dicom_node.web.words import SHAPES

PATH = "/configuration/set"


def field(page, name):
    """Return what a hidden field of a page holds."""
    return page.split(f'name="{name}" value="')[1].split('"')[0]


def look(client, **fields):
    return post(client, PATH, PATH, step="look", **fields)


def save(client, looked, **fields):
    seen = {name: field(looked.text, name) for name in ("digest", "seen")}
    return client.post(PATH, data={"csrf": csrf_of(looked.text), "step": "save", **seen, **fields})


def test_every_key_is_explained():
    """By the file that comes with the node: what is set by hand can be set on the page."""
    keys = setting_keys()

    assert {one.table for one in keys.values()} == set(Settings.model_fields) - {
        "peers",
        "web_peers",
        "worklists",
    }
    assert [name for name, one in keys.items() if not one.help] == []
    assert {one.shape.value for one in keys.values()} <= set(SHAPES)
    assert keys["node.port"].most == 65535
    assert keys["log.level"].choices == ("DEBUG", "INFO", "WARNING", "ERROR")


def test_a_comment_holds_for_the_keys_below_it():
    """Until an empty line; lines of an example stay lines."""
    text = "[a]\n# One\n# two:\n#   x = 1\nb = 1\nc = 2\n\n# Three.\nd = 3\n\ne = 4\n"

    assert explanations(text) == {
        "a.b": "One two:\nx = 1",
        "a.c": "One two:\nx = 1",
        "a.d": "Three.",
        "a.e": "",
    }


def test_a_key_shows_what_it_is_for_and_when_it_takes_effect(node):
    """Help, kind, limits, present value, default."""
    page = node.client("anna").get(f"{PATH}?key=node.max_associations").text

    for words in (
        "How many senders may be connected",
        "at least 1",
        "at most 500",
        "default holds",
    ):
        assert words in page
    assert "within seconds: the receiver closes its ports" in page
    assert node.client("anna").get(f"{PATH}?key=node.nothing").status_code == 404


def test_a_change_is_looked_at_before_it_is_saved(node):
    """The difference first; then it is in the file, with who and why in the history."""
    client = node.client("anna")

    looked = look(client, key="node.max_associations", value="33", why="new scanner")
    before = node.desk.read().text
    saved = save(client, looked, key="node.max_associations", value="33", why="new scanner")

    assert '<span class="added">+max_associations = 33</span>' in looked.text
    assert "max_associations" not in before
    assert saved.headers["location"] == "/configuration?changed=node.max_associations"
    assert node.desk.read().settings.node.max_associations == 33
    assert "# the archive" in node.desk.read().text
    last = node.desk.history()[-1]
    assert (last.who, last.why) == ("anna", "new scanner")
    assert "node.max_associations was changed." in client.get(saved.headers["location"]).text


def test_only_what_was_looked_at_is_saved(node):
    """A value typed after the look, or a file that changed meanwhile, is looked at again."""
    client = node.client("anna")
    looked = look(client, key="node.port", value="11115")

    other = save(client, looked, key="node.port", value="11116")
    post(client, "/peers/caller/form", "/peers/caller/form", ae_title="CT3", may="store")
    stale = save(client, looked, key="node.port", value="11115")

    assert (other.status_code, stale.status_code) == (409, 409)
    assert "port = 11116" in other.text
    assert "Look at it again" in stale.text
    assert "CT3" in stale.text
    assert node.desk.read().settings.node.port == 11112


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("node.port", "70000", "node.port: found 70000"),
        ("node.port", "many", "node.port: found &#34;many&#34;"),
        ("node.host", "", "an IP address or host name"),
        ("urgent.rules", '[{ attribute = "mood", pattern = "x" }]', "urgent.rules[1].attribute"),
        ("urgent.callers", "[", "urgent.callers"),
    ],
)
def test_a_fault_stands_beside_the_field(node, key, value, words):
    """Nothing is changed, and what was typed is still there."""
    answer = look(node.client("anna"), key=key, value=value)

    assert answer.status_code == 422
    place = answer.text.split('id="value-fault"')[1]
    assert words in place.split("</div>")[0]
    assert 'name="step" value="save"' not in answer.text


def test_a_fault_of_another_key_is_named_apart(node):
    """TLS alone cannot be switched on: it needs a certificate."""
    answer = look(node.client("anna"), key="tls.enabled", value="true")

    assert answer.status_code == 422
    assert "tls.certificate" in answer.text.split("other keys would be wrong")[1]


def test_a_list_is_written_as_in_the_file(node):
    """Tables in it, too."""
    client = node.client("anna")
    fields = {
        "key": "node.callers",
        "value": '["CT9",\r\n {ae_title = "CT2", address = "10.0.0.7"}]',
    }

    assert save(client, look(client, **fields), **fields).status_code == 303
    assert [getattr(one, "ae_title", one) for one in node.desk.read().settings.node.callers] == [
        "CT9",
        "CT2",
    ]


def test_a_key_gets_its_default_back(node):
    """It is no longer named; who says so twice is told that nothing changes."""
    client = node.client("anna")
    fields = {"key": "node.callers", "value": "", "default": "1"}

    saved = save(client, look(client, **fields), **fields)

    assert saved.status_code == 303
    assert "callers" not in node.desk.read().document["node"]
    assert "The file says that already." in look(client, **fields).text


def test_programs_set_keys_by_the_same_rules(node):
    """They may look first; every fault has its key; an operator may not."""
    client, header = node.client(), node.token(UserRole.ADMIN)
    path = "/api/v1/configuration/keys"

    known = client.get(path, headers=header).json()
    looked = client.put(
        f"{path}/node.port", headers=header, json={"value": 11200, "only_look": True}
    )
    faulty = client.put(f"{path}/node.port", headers=header, json={"value": 0})
    done = client.put(f"{path}/node.port", headers=header, json={"value": 11200, "why": "x"})

    assert {one["name"] for one in known["keys"]} == set(setting_keys())
    assert "+port = 11200" in looked.json()["diff"]
    assert (faulty.status_code, faulty.json()["faults"][0]["key"]) == (422, "node.port")
    assert done.json()["tables"] == ["node"]
    assert node.desk.read().settings.node.port == 11200
    other = node.token(UserRole.OPERATOR)
    assert client.put(f"{path}/node.port", headers=other, json={"value": 1}).status_code == 403
    assert client.put(f"{path}/a.b", headers=header, json={"value": 1}).status_code == 404
