"""Deliveries, routing and configuration in the browser, and the same for programs."""

import pytest
from node_builders import file_bytes, result_objects, small_series
from web_builder import post

from dicom_node.association.file_format import split_file
from dicom_node.bootstrap.layout import DataLayout
from dicom_node.configuration.edits import SetValue
from dicom_node.delivery.outbox import Outbox
from dicom_node.errors import UnreadableInstanceError
from dicom_node.intake.header import HeaderTag, read_beginning, read_header
from dicom_node.jobs.delivery_ledger import Failure
from dicom_node.users.role import UserRole


@pytest.fixture
def refused(node):
    """Return the number of a delivery that the destination refused and that was given up."""
    held = node.ledger.jobs.claim("w", now=node.clock(), lease_s=60, time_limit_s=60)
    layout = DataLayout(root=node.settings.node.data_dir)
    node.ledger.jobs.complete(
        held,
        Outbox(layout.outbox).store(result_objects(str(held.task.job_id))),
        model_digest="m",
        configuration_digest="c",
        destinations=("pacs",),
        record={"status": "no_hematoma_found"},
        now=node.clock(),
    )
    node.clock.turn(1)
    parcel = node.ledger.deliveries.claim("pacs", "office", now=node.clock(), lease_s=60)
    item = parcel.items[0]
    node.ledger.deliveries.postpone(
        item,
        "A900: SOP class not wanted",
        failure=Failure.REFUSED,
        again_at=None,
        now=node.clock(),
        negotiation="Segmentation Storage: abstract syntax not supported",
    )
    return item.delivery_id


def test_a_given_up_delivery_is_shown_with_the_answer_in_words(node, refused):
    """And with what the destination said to each presentation context."""
    client = node.client("vera")

    assert "A900: SOP class not wanted" in client.get("/deliveries").text
    page = client.get(f"/deliveries/{refused}").text
    assert "abstract syntax not supported" in page
    assert "Send now" not in page
    assert "A900" not in client.get("/deliveries?state=committed").text


def test_an_operator_sends_again_and_gives_up(node, refused):
    """What is not possible is said, and what was done is in the ledger."""
    client = node.client("otto")

    post(client, f"/deliveries/{refused}/retry")
    assert node.ledger.delivery_queue.delivery(refused).state == "pending"
    post(client, f"/deliveries/{refused}/cancel")
    assert node.ledger.delivery_queue.delivery(refused).state == "cancelled"
    again = post(client, f"/deliveries/{refused}/cancel")
    assert again.status_code == 409
    assert post(client, f"/deliveries/{refused}/nothing").status_code == 404


def test_a_destination_is_held_with_a_reason_and_released(node):
    """The peer of the settings is there before anything was sent."""
    client = node.client("otto")

    assert post(client, "/destinations/pacs/hold", why=" ").status_code == 422
    assert post(client, "/destinations/nobody/hold", why="x").status_code == 404
    post(client, "/destinations/pacs/hold", why="archive is moved")
    assert "archive is moved" in client.get("/deliveries").text
    post(client, "/destinations/pacs/release")
    assert "archive is moved" not in client.get("/deliveries").text
    assert post(client, "/destinations/pacs/release").status_code == 409


def test_programs_see_and_steer_deliveries(node, refused):
    """Numbers, states and reasons as JSON."""
    client, header = node.client(), node.token(UserRole.OPERATOR)

    found = client.get("/api/v1/deliveries?state=dead", headers=header).json()
    told = client.post(f"/api/v1/deliveries/{refused}/retry", headers=header).json()
    held = client.post("/api/v1/destinations/pacs/hold?why=moved", headers=header)

    assert [one["delivery_id"] for one in found["deliveries"]] == [refused]
    assert told["state"] == "pending"
    assert held.json() == {"destination": "pacs", "done": "hold"}
    assert client.get("/api/v1/deliveries/999", headers=header).status_code == 404


def test_the_rules_say_why_a_received_study_would_be_taken(node):
    """Its series is the only one; rank and points are shown."""
    page = node.client("otto").get(f"/routing?study={node.study}")

    assert page.status_code == 200
    assert node.series in page.text
    assert ">taken<" in page.text
    assert "no images of this study" in node.client("otto").get("/routing?study=1.2").text


def test_a_header_is_enough_to_try_the_rules(node):
    """How many slices the series has is not asked of one file, and pixels need not come."""
    client, header = node.client(), node.token(UserRole.OPERATOR)
    image = small_series(seed=3)[0]
    whole = file_bytes(image)
    beginning = whole[: len(whole) - 50]

    assert whole[128:132] == b"DICM"
    good = client.post("/api/v1/rules/test", content=beginning, headers=header)
    image.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    other = client.post("/api/v1/rules/test", content=file_bytes(image), headers=header)
    bad = client.post("/api/v1/rules/test", content=b"POISON" * 100, headers=header)

    assert good.json().get("taken") is True, good.text
    assert other.json()["taken"] is False
    assert "LOCALIZER" in other.json()["reason"]
    assert bad.status_code == 422
    assert "POISON" not in bad.text


def test_the_beginning_of_a_data_set_gives_what_the_whole_gives():
    """Cut in the pixels; nothing at all is not a beginning."""
    image = small_series(seed=4)[0]
    whole = file_bytes(image)
    syntax = str(image.file_meta.TransferSyntaxUID)
    _, offset = split_file(whole)
    data = whole[offset:]

    assert read_beginning(data[:-100], syntax) == read_header(data, syntax)
    assert HeaderTag.MODALITY in read_beginning(data[:400], syntax)
    with pytest.raises(UnreadableInstanceError):
        read_beginning(b"\0\1", syntax)
    with pytest.raises(UnreadableInstanceError, match="as a whole"):
        read_beginning(data, "1.2.840.10008.1.2.1.99")


def test_an_admin_adds_and_removes_a_rule(node):
    """A fault names what is wrong with it."""
    client = node.client("anna")
    rule = {"list": "exclude", "attribute": "description", "pattern": "bone"}

    post(client, "/routing/add", **rule)
    assert "bone" in [one.pattern for one in node.desk.read().settings.selection.exclude]
    post(client, "/routing/remove", **rule)
    assert "bone" not in [one.pattern for one in node.desk.read().settings.selection.exclude]
    wrong = post(client, "/routing/add", **{**rule, "list": "prefer", "points": "many"})
    assert "points" in wrong.headers["location"]
    assert post(client, "/routing/add", **{**rule, "list": "x"}).status_code == 404


def changed(node):
    edit = SetValue(table="node", key="port", value=4242)
    return node.desk.change([edit], who="anna", why="another port", now=node.clock())


def test_the_history_shows_who_why_and_what_and_leads_back(node):
    """A roll-back is a change of its own."""
    change = changed(node)
    client = node.client("anna")

    assert "another port" in client.get("/configuration").text
    page = client.get(f"/configuration/{change.change_id}").text
    assert "+port = 4242" in page
    post(client, "/configuration/1/rollback", why="wrong port")

    last = node.desk.history()[-1]
    assert (last.who, last.why) == ("anna", "wrong port")
    assert node.desk.read().settings.node.port == 11112
    assert client.get("/configuration/99").status_code == 404


def test_faults_of_the_file_on_disk_are_named(node):
    """An editor has made it unusable; older settings stay in force."""
    node.desk.path.write_text(node.desk.read().text + "\n[worker]\nattempts = 0\n")

    page = node.client("anna").get("/configuration").text

    assert "worker.attempts" in page
    assert "those before it stay in force" in page
    assert "worker.attempts" in node.client("anna").get("/peers").text


def test_programs_read_the_history_and_roll_back(node):
    """Twice the same is told apart."""
    changed(node)
    client, header = node.client(), node.token(UserRole.ADMIN)

    history = client.get("/api/v1/configuration", headers=header).json()["history"]
    first = client.post("/api/v1/configuration/1/rollback", json={}, headers=header)
    again = client.post("/api/v1/configuration/1/rollback", json={}, headers=header)

    assert [one["who"] for one in history] == ["outside", "anna"]
    assert "-port = 4242" in first.json()["diff"]
    assert again.status_code == 409
    shown = client.get("/api/v1/configuration/2", headers=header).json()
    assert shown["why"] == "another port"


def test_the_audit_shows_log_ins_changes_and_interventions(node):
    """The newest first, filtered by kind and by who."""
    client, header = node.client("anna"), node.token(UserRole.ADMIN)
    changed(node)
    post(node.client("otto"), f"/studies/{node.study}/hold", why="a trial")

    everything = client.get("/api/v1/audit", headers=header).json()
    otto = client.get("/api/v1/audit?kind=log-in&who=OTTO", headers=header).json()

    assert {one["kind"] for one in everything} == {"log-in", "configuration", "intervention"}
    assert [one["at"] for one in everything] == sorted(
        (one["at"] for one in everything), reverse=True
    )
    assert {one["who"] for one in otto} == {"otto"}
    assert "another port" in client.get("/audit?kind=configuration").text
    assert "a trial" in client.get("/audit?kind=intervention").text
    assert client.get("/api/v1/audit?kind=x", headers=header).status_code == 422
