"""AE titles in the browser: list, forms with their faults, lock, removal, test and card."""

import re
import socket

import pytest
from web_builder import post

from dicom_node.users.role import UserRole
from dicom_node.web.entry_fields import KINDS

PACS = {"name": "second", "ae_title": "PACS2", "host": "10.0.0.9", "port": "104"}
PACS |= {"tls_checks_name": "1"}


def peers(node):
    return {one.name: one for one in node.desk.read().settings.peers}


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.name)
def test_a_form_asks_for_every_key_of_the_settings(kind):
    """A key that is new there needs a field."""
    assert sorted(one.key for one in kind.fields) == sorted(kind.model.model_fields)


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.name)
def test_a_choice_offers_what_the_settings_take(kind):
    """Each choice passes their check."""
    base = {"name": "x", "ae_title": "X", "host": "h", "port": 104, "url": "https://h/d"}
    values = {key: base[key] for key in kind.needed}
    for one in kind.fields:
        for choice in one.choices:
            kind.model.model_validate_json(
                kind.model.model_validate(
                    {**values, one.key: choice}, strict=False
                ).model_dump_json()
            )


def test_the_list_shows_peers_callers_and_the_own_card(node):
    """With a test for whoever operates, and changes for admins."""
    html = node.client("otto").get("/peers").text

    assert "PACS@127.0.0.1:11113" in html
    assert "10.0.0.21" in html
    assert "AE title:  ICHNODE" in html
    assert "/peers/dicom/form" not in html
    assert "/peers/dicom/form?name=pacs" in node.client("anna").get("/peers").text


def test_a_peer_is_added_with_what_differs_from_the_defaults(node):
    """The comment of another stays, and the history knows who and why."""
    answer = post(node.client("anna"), "/peers/dicom/form", **PACS, why="new archive")

    assert answer.status_code == 303
    assert peers(node)["second"].port == 104
    text = node.desk.read().text
    assert 'name = "pacs"  # the archive' in text
    assert "max_pdu_bytes" not in text
    change = node.desk.history()[-1]
    assert (change.who, change.why) == ("anna", "new archive")


def test_faults_stand_beside_their_fields_and_nothing_is_written(node):
    """Each names key, what was found and what may stand there; what was typed stays."""
    before = node.desk.read().digest
    fields = {**PACS, "ae_title": "MUCH TOO LONG FOR A TITLE", "port": "many"}

    answer = post(node.client("anna"), "/peers/dicom/form", **fields)

    assert answer.status_code == 422
    assert 'id="e-port"' in answer.text
    assert "peers[2].port: found" in answer.text
    assert 'id="e-ae_title"' in answer.text
    assert 'value="MUCH TOO LONG FOR A TITLE"' in answer.text
    assert node.desk.read().digest == before


def test_a_change_names_only_what_was_changed(node):
    """A value that is given its default back leaves the file."""
    marks = {"mark_name": "pacs"}
    fields = {"name": "pacs", "ae_title": "PACS", "host": "127.0.0.1", "port": "4242"}
    answer = post(node.client("anna"), "/peers/dicom/form", **marks, **fields, tls_checks_name="1")

    assert answer.status_code == 303
    assert peers(node)["pacs"].port == 4242
    assert not peers(node)["pacs"].receives_results
    assert "receives_results" not in node.desk.read().text


def test_whoever_saves_an_old_page_is_told(node):
    """Two admins: the second sees what the first did before anything is overwritten."""
    old = node.desk.read().digest
    post(node.client("anna"), "/peers/dicom/form", **PACS)

    answer = post(
        node.client("anna"), "/peers/dicom/form", **{**PACS, "name": "third"}, digest=old
    )

    assert answer.status_code == 409
    assert "changed by somebody else" in answer.text
    assert 'value="third"' in answer.text
    assert "third" not in peers(node)


def test_a_caller_is_found_by_title_and_address(node):
    """One that is a bare text, and one that is a table."""
    anna = node.client("anna")
    assert anna.get("/peers/caller/form?ae_title=CT2&address=10.0.0.21").status_code == 200
    post(anna, "/peers/caller/remove", mark_ae_title="CT2", mark_address="10.0.0.21")
    marks = {"mark_ae_title": "CT1", "mark_address": ""}
    post(anna, "/peers/caller/form", **marks, ae_title="CT1", may="echo, store")

    (caller,) = node.desk.read().settings.node.callers
    assert (caller.ae_title, [one.value for one in caller.may]) == ("CT1", ["echo", "store"])


def test_what_was_removed_meanwhile_is_told(node):
    """Nothing else is removed in its place."""
    answer = post(node.client("anna"), "/peers/dicom/remove", mark_name="nobody")

    assert "no+such+entry" in answer.headers["location"]
    assert set(peers(node)) == {"pacs"}


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as closed:
        return str(closed.getsockname()[1])


def room(node):
    return node.pages.app.state.trial_room


def test_a_test_says_what_is_wrong_and_what_to_do(node):
    """Nobody listens at this port."""
    fields = {"name": "pacs", "ae_title": "PACS", "host": "127.0.0.1", "port": free_port()}
    post(node.client("anna"), "/peers/dicom/form", mark_name="pacs", **fields)
    client = node.client("otto")

    begun = post(client, "/peers/test", name="pacs")
    room(node).wait(int(begun.headers["location"].removeprefix("/peers/tests/")))
    page = client.get(begun.headers["location"]).text

    assert begun.status_code == 303
    assert "connection" in page
    assert "ask whether the DICOM service runs" in page
    assert "Something must be put right" in page
    assert "hx-trigger" not in page
    assert post(client, "/peers/test", name="nobody").status_code == 404


def test_a_peer_is_tried_as_it_was_typed_and_nothing_is_saved(node):
    """What was typed stays in the form, and the file is as it was."""
    before, client = node.desk.read().text, node.client("anna")
    typed = {**PACS, "host": "127.0.0.1", "port": free_port(), "step": "test"}

    page = post(client, "/peers/dicom/form", **typed)
    view = room(node).wait(int(re.search(r'data-number="(\d+)"', page.text)[1]))

    assert page.status_code == 200
    assert 'value="PACS2"' in page.text
    assert (view.name, view.steps[0].ok) == ("second", False)
    assert f"port {typed['port']} refuses connections" in view.steps[0].found
    assert node.desk.read().text == before


def test_a_faulty_peer_is_not_tried(node):
    """Its faults stand beside their fields, as when it is saved."""
    page = post(node.client("anna"), "/peers/dicom/form", **{**PACS, "port": "0", "step": "test"})

    assert page.status_code == 422
    assert "peers[2].port" in page.text
    assert "/peers/tests/" not in page.text


def test_programs_do_the_same(node):
    """Add, change, remove, each with the change as the answer and faults by their keys."""
    header, client = node.token(UserRole.ADMIN), node.client()
    values = {"name": "vna", "url": "https://vna.example/dicom-web"}

    added = client.post("/api/v1/peers/web", json={"values": values}, headers=header)
    digest = client.get("/api/v1/peers", headers=header).json()["digest"]
    changed = client.put(
        "/api/v1/peers/web/vna",
        json={"values": {"receives_results": True}, "digest": digest},
        headers=header,
    )
    stale = client.put(
        "/api/v1/peers/web/vna", json={"values": {"user": "x"}, "digest": digest}, headers=header
    )
    wrong = client.post(
        "/api/v1/peers/dicom", json={"values": {**values, "port": 0}}, headers=header
    )
    removed = client.delete("/api/v1/peers/web/vna?why=gone", headers=header)

    codes = [one.status_code for one in (added, changed, stale, wrong, removed)]
    assert codes == [200, 200, 409, 422, 200]
    assert any(one["key"] == "peers[2].port" for one in wrong.json()["faults"])
    assert removed.json()["why"] == "gone"
    assert client.get("/api/v1/card", headers=header).json()["ae_title"] == "ICHNODE"


def test_a_node_without_a_file_says_so(node):
    """Its settings are the defaults; nothing can be changed."""
    node.desk.path.unlink()

    assert node.client("anna").get("/peers").status_code == 200
    assert post(node.client("anna"), "/peers/dicom/form", **PACS).status_code in {409, 422}
