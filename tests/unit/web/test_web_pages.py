"""What the pages show: overview, studies, a study, users; in two languages, as text, in order."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from node_builders import request_of, small_series
from web_builder import PASSWORD, PNG, csrf_of, post, web_node

from dicom_node.intake.instance import receive
from dicom_node.jobs.study_search import DoorTime
from dicom_node.users.role import UserRole
from dicom_node.web.door_chart import HEIGHT, WIDTH, door_chart
from dicom_node.web.overview import percentiles
from dicom_node.web.rendering import duration

NOW = datetime(2026, 1, 10, 12, tzinfo=UTC)


@pytest.fixture
def viewer(node):
    return node.client("vera")


def doors(*seconds):
    return tuple(
        DoorTime(
            study_instance_uid="1.2",
            at=NOW - timedelta(hours=len(seconds) - number),
            seconds=value,
            urgent=number == 0,
        )
        for number, value in enumerate(seconds)
    )


@pytest.mark.parametrize("path", ["/", "/studies", "/watch", "/account", "/first", "/nowhere"])
def test_every_page_says_research_use_only(viewer, path):
    """Wherever a person can read a result."""
    assert "RESEARCH USE ONLY" in viewer.get(path).text


@pytest.mark.parametrize("path", ["/", "/studies", "/studies/{study}", "/users", "/login"])
def test_a_page_loads_nothing_from_elsewhere_and_holds_no_script(node, path):
    """Hospitals' networks are closed; scripts are files of the node."""
    page = node.client("anna").get(path.format(study=node.study)).text

    assert "http://" not in page
    assert "https://" not in page
    assert "<script>" not in page
    assert " style=" not in page
    assert " onclick" not in page


def test_the_overview_tells_the_state_of_the_node(node, viewer):
    """Processes that are away, what waits, how long results took, where they went."""
    page = viewer.get("/").text

    for words in (
        "The node needs attention.",
        "worker has not been seen for 20 s",
        "Door to result, last 7 days",
        "1 min 10 s",
        "queued",
        "pacs",
        "MODALITY",
        "<svg",
    ):
        assert words in page
    answer = viewer.get("/api/v1/overview").json()
    assert answer["door_to_result_s"]["number"] == 1
    assert answer["door_to_result_s"]["p50"] == 70.0
    assert answer["queue"] == [{"kind": "analysis", "state": "queued", "number": 1}]
    assert node.study in json.dumps(answer)


def test_percentiles_lie_between_the_values():
    """Of 1 to 101 s: half within 51 s, 90 of a hundred within 91 s, by linear interpolation."""
    found = percentiles([float(value) for value in range(1, 102)])

    assert (found.p50, found.p90, found.p95, found.longest) == (51.0, 91.0, 96.0, 101.0)
    assert percentiles([]).p50 is None
    assert percentiles([3.0]).p95 == 3.0


def test_the_drawing_puts_later_to_the_right_and_longer_to_the_top():
    """One dot an analysis, all of them inside of the frame."""
    chart = door_chart(doors(12.0, 90.0, 4000.0), days=7, now=NOW)

    xs, ys = [dot.x for dot in chart.dots], [dot.y for dot in chart.dots]
    assert xs == sorted(xs)
    assert ys == sorted(ys, reverse=True)
    assert [dot.urgent for dot in chart.dots] == [True, False, False]
    assert all(0 < x < WIDTH for x in xs)
    assert all(0 < y < HEIGHT for y in ys)
    assert [tick.words for tick in chart.rows][:2] == ["10 s", "30 s"]
    assert [tick.words for tick in chart.columns][-1] == "01-10"
    assert door_chart((), days=7, now=NOW) is None


@pytest.mark.parametrize("seconds", [0.0, 0.5, 1e7])
def test_any_time_can_be_drawn(seconds):
    """A second, or months."""
    (dot,) = door_chart(doors(seconds), days=7, now=NOW).dots

    assert 0 < dot.y < HEIGHT


def test_durations_are_said_as_people_say_them():
    """Seconds below a minute, minutes below an hour."""
    assert [duration(value) for value in (None, 12.34, 59.94, 60.0, 245.0, 7800.0)] == [
        "",
        "12.3 s",
        "59.9 s",
        "1 min 00 s",
        "4 min 05 s",
        "2 h 10 min",
    ]


def test_the_list_shows_both_studies_with_state_and_opinion(node, viewer):
    """One row a study."""
    page = viewer.get("/studies").text

    for words in (
        "2 studies",
        node.study,
        node.waiting,
        "delivered",
        "queued",
        "hematoma found",
        "23.5 mL",
        "95 % range 15.2-32.4",
        "intraventricular hemorrhage 2.0 mL",
        "expansion predicted",
        "(0.71)",
        "tilt corrected",
        "1 min 10 s",
        "pacs: 3 of 3 accepted",
    ):
        assert words in page


def test_filters_narrow_the_list(node, viewer):
    """By outcome, state, sender, day and UID; what makes no sense finds everything or nothing."""
    for query, number in (
        ("outcome=hematoma_found", 1),
        ("state=queued", 1),
        ("caller=MODALITY", 2),
        ("caller=CT9", 0),
        (f"text={node.study}", 1),
        ("urgent=1", 0),
        ("since=2026-01-05", 2),
        ("since=2026-01-06", 0),
        ("until=2026-01-05", 2),
        ("until=2026-01-04", 0),
        ("since=yesterday", 2),
        ("since=9999-12-31&until=0001-01-01", 0),
        ("page=2", 2),
    ):
        page = viewer.get(f"/studies?{query}")
        assert page.status_code == 200, query
        shown = page.text.count('data-label="Study"')
        assert shown == (0 if query == "page=2" else number), query
    assert viewer.get("/api/v1/studies?outcome=hematoma_found").json()["total"] == 1
    assert viewer.get("/studies?page=0").status_code == 422


def test_a_study_is_found_by_its_accession_number(node, viewer):
    """The address has the key of the number; programs name the number itself."""
    image = small_series(1, seed=9, study_uid="1.2.9")[0]
    image.AccessionNumber = "ACC9"
    instance = receive(request_of(image), patient_salt=node.ledger.patient_salt)
    node.ledger.arrivals.add(instance, Path("image.dcm"))

    answer = post(viewer, "/studies", page="/studies", accession="ACC9 ")
    where = answer.headers["location"]
    found, other = viewer.get(where).text, viewer.get(where.replace("=", "=0")[:-1]).text

    assert (answer.status_code, "ACC9" in where) == (303, False)
    assert ("1.2.9" in found, node.study in found, "1.2.9" in other) == (True, False, False)
    assert "Only studies of the Accession Number" in found
    assert 'name="accession_key"' in found
    totals = [
        viewer.get("/api/v1/studies", params={"accession_number": number}).json()["total"]
        for number in ("ACC9", "ACC", "")
    ]
    assert totals == [1, 0, 3]
    assert viewer.get("/studies?accession_key=ACC9").status_code == 422


def test_a_study_shows_everything_that_is_known(node, viewer):
    """Opinion, picture, deliveries, objects, and its history from the first image on."""
    page = viewer.get(f"/studies/{node.study}").text

    for words in (
        node.study,
        node.series,
        "hematoma found",
        f"/pictures/{node.job}.png",
        "What happened",
        "first image",
        "pacs",
        f"1.2.3.{node.job}.2",
        "1 min 10 s",
    ):
        assert words in page
    assert page.index("first image") < page.index(">claimed<") < page.index(">delivered</td>")
    answer = viewer.get(f"/api/v1/studies/{node.study}").json()
    assert len(answer["objects"]) == 3
    assert answer["series"][0]["volume_ml"] == 23.456


def test_a_series_leads_to_its_study(node, viewer):
    """Old links go on working."""
    answer = viewer.get(f"/series/{node.series}")

    assert answer.headers["location"] == f"/studies/{node.study}"


@pytest.mark.parametrize(
    "path",
    ["/studies/9.9", "/series/9.9", "/studies/%3Cb%3E", "/pictures/8.png", "/api/v1/studies/9.9"],
)
def test_what_is_unknown_is_not_found(viewer, path):
    """No guess is made."""
    assert viewer.get(path).status_code == 404


@pytest.mark.parametrize(
    "path", ["/pictures/..%2Fx.png", "/pictures/x.png", f"/pictures/{9**30}.png"]
)
def test_only_pictures_of_analyses_are_served(viewer, path):
    """No other file can be asked for."""
    assert viewer.get(path).status_code in {404, 422}


def test_picture_and_objects_can_be_taken_away(node, viewer):
    """The picture as PNG, an object as DICOM with its UID as its name."""
    picture = viewer.get(f"/pictures/{node.job}.png")
    file = viewer.get(f"/studies/{node.study}/objects/1.2.3.{node.job}.2")

    assert picture.content == PNG
    assert file.headers["content-type"] == "application/dicom"
    assert f"1.2.3.{node.job}.2.dcm" in file.headers["content-disposition"]
    assert file.content[128:132] == b"DICM"
    assert viewer.get(f"/studies/{node.waiting}/objects/1.2.3.{node.job}.2").status_code == 404


def test_operators_hurry_hold_and_repeat(node):
    """Each by a button that says afterwards what happened, or why not."""
    client = node.client("otto")
    path = f"/studies/{node.study}"

    assert post(client, f"{path}/urgent").headers["location"] == path
    assert "an operator said so" in client.get(path).text
    assert post(client, f"{path}/routine").headers["location"] == path
    assert post(client, f"{path}/hold", why="lawsuit 12").headers["location"] == path
    assert "lawsuit 12 (otto" in client.get(path).text
    assert post(client, f"{path}/unhold").headers["location"] == path
    assert post(client, f"{path}/rerun").headers["location"] == path
    assert "by otto" in client.get(path).text
    again = post(client, f"{path}/rerun").headers["location"]
    assert "waiting%20or%20being%20analysed" in again
    assert "being analysed" in client.get(again).text


def test_an_act_of_a_program_says_how_it_went(node):
    """404 for what is not there, 409 for what cannot be, 422 for a hold without a reason."""
    header = node.token(UserRole.OPERATOR)
    client = node.client()
    base = f"/api/v1/studies/{node.waiting}"

    codes = {
        act: client.post(f"{base}/{act}", headers=header).status_code
        for act in ("urgent", "rerun", "hold", "unhold", "explode")
    }

    assert codes == {"urgent": 200, "rerun": 409, "hold": 422, "unhold": 404, "explode": 404}
    unknown = client.post("/api/v1/studies/9.9/urgent", headers=header)
    assert unknown.status_code == 404


def test_viewers_see_no_buttons(node, viewer):
    """They may not press them either, as the table of roles tells."""
    assert "Make urgent" not in viewer.get(f"/studies/{node.study}").text
    assert "Make urgent" in node.client("otto").get(f"/studies/{node.study}").text
    assert "/users" not in viewer.get("/").text


def test_the_viewer_of_the_hospital_is_linked(data_folder):
    """With the study in the address."""
    url = "https://pacs.example/viewer?StudyInstanceUIDs={study_instance_uid}"
    with web_node(data_folder, viewer_url=url) as node:
        page = node.client("vera").get(f"/studies/{node.study}").text

    assert f"https://pacs.example/viewer?StudyInstanceUIDs={node.study}" in page


def test_other_settings_count_at_once(node, viewer):
    """The pages are not built anew for them."""
    web = node.settings.web.model_copy(update={"time_zone": "Asia/Shanghai"})
    assert "2026-01-05 16:3" not in viewer.get("/studies").text

    node.pages.use(node.settings.model_copy(update={"web": web}))

    assert "2026-01-05 16:3" in viewer.get("/studies").text


def test_nothing_that_was_received_becomes_markup(node, viewer):
    """A reason may quote what a sender wrote."""
    from sqlalchemy import text

    with node.ledger.database.write() as session:
        session.execute(text("UPDATE jobs SET reason = '<script>alert(1)</script>'"))
        session.execute(text("UPDATE series SET calling_ae_title = '<img src=x>'"))

    for path in ("/", "/studies", f"/studies/{node.study}"):
        page = viewer.get(path).text
        assert "<script>alert" not in page
        assert "<img src=x" not in page
    assert "&lt;script&gt;" in viewer.get("/studies").text


def test_admins_make_users_and_tokens(node):
    """Secrets are shown once."""
    client = node.client("anna")

    page = post(client, "/users", act="add", name="new", role="operator")
    code = page.text.split("<code>")[1].split("</code>")[0]
    assert node.pages.entrance.set_first_password("new", code, PASSWORD, address="x")
    token_page = post(client, "/users", act="add-token", name="robot", role="viewer", days="3")
    token = token_page.text.split("<code>")[1].split("</code>")[0]
    assert node.pages.entrance.token(token).role is UserRole.VIEWER
    post(client, "/users", act="role", name="new", role="viewer")
    post(client, "/users", act="code", name="vera")
    post(client, "/users", act="remove-token", name="robot")
    post(client, "/users", act="remove", name="otto")

    shown = client.get("/users").text
    assert code not in shown
    assert token not in shown
    assert "otto" not in shown
    assert "robot" not in shown
    assert {one.name: one.role for one in node.pages.accounts.all()} == {
        "anna": "admin",
        "new": "viewer",
        "vera": "viewer",
    }


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"act": "add", "name": "Big Name", "role": "viewer"}, "a name has"),
        ({"act": "add", "name": "vera", "role": "viewer"}, "there is a user"),
        ({"act": "add", "name": "new", "role": "king"}, "no such role"),
        ({"act": "remove", "name": "anna"}, "last admin"),
        ({"act": "remove", "name": "nobody"}, "there is no user"),
        ({"act": "add-token", "name": "t", "role": "viewer", "days": "x"}, "1 to 3650 days"),
    ],
)
def test_what_cannot_be_is_refused_in_words(node, fields, words):
    """On the page where it was tried."""
    answer = post(node.client("anna"), "/users", **fields)

    assert answer.status_code == 422
    assert words in answer.text


def test_programs_make_users_too(node):
    """The same powers by JSON."""
    header, client = node.token(UserRole.ADMIN), node.client()

    made = client.post("/api/v1/users", json={"name": "new"}, headers=header)
    assert made.status_code == 201
    assert len(made.json()["code"]) == 14
    changed = client.put("/api/v1/users/new/role", json={"role": "operator"}, headers=header)
    assert changed.status_code == 200
    assert client.post("/api/v1/users/new/code", headers=header).status_code == 200
    names = [one["name"] for one in client.get("/api/v1/users", headers=header).json()]
    assert names == ["anna", "new", "otto", "vera"]
    assert client.delete("/api/v1/users/new", headers=header).status_code == 200
    assert client.delete("/api/v1/users/new", headers=header).status_code == 422
    token = client.post("/api/v1/tokens", json={"name": "bot"}, headers=header)
    assert token.status_code == 201
    assert "token" not in client.get("/api/v1/tokens", headers=header).json()[0]
    assert client.delete("/api/v1/tokens/bot", headers=header).status_code == 200


def test_the_schema_names_what_programs_may_ask(viewer):
    """Only what stands below /api/v1, and the probes."""
    schema = viewer.get("/api/v1/openapi.json").json()

    assert "/api/v1/studies" in schema["paths"]
    assert "/health" in schema["paths"]
    assert all(p.startswith("/api/v1/") or p.count("/") == 1 for p in schema["paths"])


def test_a_chinese_browser_gets_chinese_pages(viewer):
    """By what it accepts, or by what was chosen."""
    accepted = viewer.get("/", headers={"Accept-Language": "zh-CN,zh;q=0.9,en;q=0.8"}).text
    secret = csrf_of(viewer.get("/").text)
    answer = viewer.post(
        "/preferences",
        data={"csrf": secret, "language": "zh", "theme": "dark", "next": "/studies"},
    )
    chosen = viewer.get(answer.headers["location"]).text

    assert 'lang="zh"' in accepted
    assert "概览" in accepted
    assert "仅供研究使用" in accepted
    assert "发现血肿" in chosen
    assert 'data-theme="dark"' in chosen


def test_a_preference_that_is_none_is_not_kept(viewer):
    """Only known languages and themes become cookies."""
    answer = post(viewer, "/preferences", language="xx", theme="<b>", next="//evil.example")

    assert "set-cookie" not in answer.headers
    assert answer.headers["location"] == "/"


def test_the_audit_trail_knows_who_did_what(node):
    """Looking, taking away, telling the node, and changing accounts; each with who and where."""
    told = []

    class Trail:
        def write(self, message):
            told.append(message)

    node.pages._audit._trail = Trail()
    client = node.client("otto")
    client.get(f"/studies/{node.study}")
    client.get(f"/studies/{node.study}", headers={"HX-Request": "true"})
    client.get(f"/studies/{node.study}/objects/1.2.3.{node.job}.2")
    post(client, f"/studies/{node.study}/urgent")
    post(node.client("anna"), "/users", act="add", name="new", role="viewer")

    assert [one.event.value for one in told] == ["110103", "110106", "110113", "110113"]
    people = [next(p for p in one.participants if p.is_requestor) for one in told]
    assert [one.user_id for one in people] == ["otto", "otto", "otto", "anna"]
    assert {one.address for one in people} == {"10.0.0.5"}


def test_a_form_with_too_many_fields_is_none(viewer):
    """It is refused like one without the secret."""
    secret = csrf_of(viewer.get("/").text)
    many = {f"f{number}": "x" for number in range(300)}

    assert viewer.post("/preferences", data={"csrf": secret, **many}).status_code == 403
