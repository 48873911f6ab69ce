"""Who sees and does what: every route against every role, sessions, forms, headers."""

import pytest
from fastapi.testclient import TestClient
from web_builder import PASSWORD, PEOPLE, csrf_of, post, web_node

from dicom_node.errors import AccountError
from dicom_node.users.entrance import FAILURES_OF_NAME
from dicom_node.users.role import UserRole

WRONG = "not the password"

#: What stands in the addresses of the routes, so that each leads somewhere.
PLACES = {
    "{study_uid}": "1.2.3",
    "{series_uid}": "1.2.3",
    "{sop_uid}": "1.2.3",
    "{job_id}": "99",
    "{name}": "nobody",
    "{act}": "urgent",
    "{kind}": "dicom",
    "{number}": "99",
}

#: Pages that anybody may open; everything else needs a log-in.
OPEN = {
    "GET /login",
    "POST /login",
    "GET /login/openid",
    "GET /login/openid/done",
    "GET /first",
    "POST /first",
    "POST /logout",
    "POST /preferences",
    "GET /health",
    "GET /ready",
    "GET /metrics",
    "GET /static/style.css",
    "GET /static/site.js",
    "GET /static/upload.js",
    "GET /static/htmx-2.0.11.min.js",
    "GET /static/icon.svg",
}


def address_of(path):
    for place, value in PLACES.items():
        path = path.replace(place, value)
    return path


def routes(node):
    return node.pages.app.state.door.table


def test_every_route_went_through_the_door(node):
    """There is none that the table of roles does not know."""
    assert node.pages.app.state.door.uncovered() == ()
    assert len(routes(node)) > 30


def test_what_is_open_is_a_short_list(node):
    """Whoever opens a page adds it here, too."""
    assert {f"{m} {p}" for (m, p), role in routes(node).items() if role is None} == OPEN


def test_nobody_gets_in_without_log_in(node):
    """Pages lead to the log-in, programs are told 401; nothing else is answered."""
    client = node.client()
    for (method, path), role in routes(node).items():
        if role is None:
            continue
        answer = client.request(method, address_of(path))
        if path.startswith("/api/") or path.endswith((".json", ".png")):
            assert answer.status_code == 401, path
            assert answer.headers["www-authenticate"] == "Bearer"
        else:
            assert answer.status_code == 303, path
            assert answer.headers["location"].startswith("/login?next=")


@pytest.mark.parametrize("own", list(UserRole))
def test_a_role_opens_what_it_includes_and_no_more(node, own):
    """Of each route: 403 to whoever may not, anything else to whoever may."""
    header = node.token(own)
    client = node.client()
    for (method, path), role in routes(node).items():
        if role is None:
            continue
        answer = client.request(method, address_of(path), headers=header)
        assert (answer.status_code == 403) is not own.includes(role), (method, path, role)
        assert answer.status_code != 401


@pytest.mark.parametrize("name", list(PEOPLE))
def test_whatever_changes_something_needs_the_forms_secret(node, name):
    """A session alone is not enough: another site's page could send its cookie along."""
    client = node.client(name)
    for (method, path), role in routes(node).items():
        if method == "GET" or path in {"/login", "/first"}:
            continue
        if role is None or PEOPLE[name].includes(role):
            answer = client.request(method, address_of(path), data={"csrf": "0" * 64})
            assert answer.status_code == 403, (method, path)
            assert "from this page" in answer.text


def test_another_site_cannot_send_a_form_with_the_right_secret(node):
    """Browsers say where a request comes from (Fetch Metadata)."""
    client = node.client("otto")
    secret = csrf_of(client.get("/account").text)

    answer = client.post(
        f"/studies/{node.study}/urgent",
        data={"csrf": secret},
        headers={"Sec-Fetch-Site": "cross-site"},
    )

    assert answer.status_code == 403


def test_a_secret_is_good_for_its_own_session_only(node):
    """That of another person opens nothing."""
    theirs = csrf_of(node.client("anna").get("/account").text)

    answer = node.client("otto").post(f"/studies/{node.study}/urgent", data={"csrf": theirs})

    assert answer.status_code == 403


def test_a_program_with_a_session_sends_the_secret_as_a_header(node):
    """As a page of its own would do."""
    client = node.client("otto")
    path = f"/api/v1/studies/{node.study}/urgent"
    secret = client.get("/api/v1/session").json()["csrf"]

    assert client.post(path).status_code == 403
    assert client.post(path, headers={"X-CSRF-Token": secret}).status_code == 200


def logged_in(node, **fields):
    """Log in through the form; return browser and answer."""
    client = node.client()
    return client, post(client, "/login", page="/login", **fields)


def test_log_in_opens_a_new_session_and_leads_back(node):
    """The cookie is for this server alone, unseen by scripts."""
    client, answer = logged_in(node, name="vera", password=PASSWORD, next="/studies?page=2")

    assert (answer.status_code, answer.headers["location"]) == (303, "/studies?page=2")
    cookie = next(
        c for c in answer.headers.get_list("set-cookie") if c.startswith("ichnode-8180=")
    )
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert "Path=/" in cookie
    assert client.get("/studies").status_code == 200


def test_whoever_may_read_at_this_machine_can_log_in_there(data_folder):
    """Reading without log-in does not take the form's secret away; it gives none for changes."""
    with web_node(data_folder, open_on_loopback=True) as node:
        client = node.client(address="127.0.0.1")
        client.base_url = "http://127.0.0.1:8180"
        secret = csrf_of(client.get("/login").text)
        change = client.post(f"/studies/{node.study}/urgent", data={"csrf": secret})
        answer = client.post(
            "/login", data={"csrf": secret, "name": "otto", "password": PASSWORD, "next": ""}
        )

    assert change.headers["location"].startswith("/login")
    assert (answer.status_code, answer.headers["location"]) == (303, "/")


def test_a_session_that_was_planted_is_not_taken_up(node):
    """Session fixation: after log-in the secret is another one."""
    client = node.client()
    client.cookies.set("ichnode-8180", "planted")
    answer = post(client, "/login", page="/login", name="vera", password=PASSWORD)

    cookies = " ".join(answer.headers.get_list("set-cookie"))
    assert answer.status_code == 303
    assert "ichnode-8180=" in cookies
    assert "planted" not in cookies


@pytest.mark.parametrize(
    "target", ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:1", ""]
)
def test_log_in_never_leads_elsewhere(node, target):
    """No open redirect."""
    _, answer = logged_in(node, name="vera", password=PASSWORD, next=target)

    assert answer.headers["location"] == "/"


def test_wrong_passwords_are_refused_and_then_throttled(node):
    """In the same words for known and unknown names."""
    answers = [logged_in(node, name="vera", password=WRONG)[1] for _ in range(FAILURES_OF_NAME)]
    stopped = logged_in(node, name="vera", password=PASSWORD)[1]
    unknown = logged_in(node, name="nobody", password=WRONG)[1]

    assert {one.status_code for one in answers} == {403}
    assert "the name or the password is wrong" in answers[0].text
    assert "the name or the password is wrong" in unknown.text
    assert stopped.status_code == 403
    assert "too many failed attempts" in stopped.text


def test_the_first_log_in_goes_by_code(node):
    """Name, code, password twice."""
    code = node.pages.accounts.add("newcomer", UserRole.VIEWER, by="test")
    client = node.client()
    fields = {"name": "newcomer", "code": code, "password": PASSWORD}

    differing = post(client, "/first", page="/first", **fields, again="other")
    answer = post(client, "/first", page="/first", **fields, again=PASSWORD)

    assert (differing.status_code, answer.status_code) == (403, 303)
    assert client.get("/account").status_code == 200


def test_log_out_closes_the_session(node):
    """A copy of the cookie is worth nothing afterwards."""
    client = node.client("vera")
    secret = client.cookies["ichnode-8180"]

    answer = post(client, "/logout")

    assert answer.headers["location"] == "/login"
    assert node.pages.entrance.session(secret) is None


def test_another_password_ends_the_other_sessions(node):
    """And goes on in this one."""
    other, client = node.client("vera"), node.client("vera")
    fields = {"old": PASSWORD, "password": "quite another phrase", "again": "quite another phrase"}

    answer = post(client, "/account", **fields)

    assert answer.status_code == 303
    assert client.get("/").status_code == 200
    assert other.get("/").status_code == 303
    with pytest.raises(AccountError):
        node.pages.entrance.log_in("vera", PASSWORD, address="10.0.0.5")


def test_every_answer_carries_the_headers(node):
    """Pages, refusals, pictures, styles, probes and what is not there."""
    client = node.client("vera")
    for path in ("/", "/login", "/nowhere", "/health", "/static/style.css", "/users", "/metrics"):
        headers = client.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert "server" not in headers
    assert client.get("/").headers["cache-control"] == "no-store"


def test_by_tls_cookies_stay_with_tls(data_folder):
    """Whether the node speaks it or the proxy before it."""
    with web_node(data_folder, public_url="https://node.example") as node:
        client = node.client()
        page = client.get("https://node.example/login")

        assert page.headers["strict-transport-security"].startswith("max-age=")
        cookie = page.headers["set-cookie"]
        assert cookie.startswith("__Host-ichnode-8180-visit=")
        assert "Secure" in cookie


def at_home(node, **options):
    return TestClient(
        node.pages.app,
        client=("127.0.0.1", 1),
        base_url="http://127.0.0.1:8180",
        follow_redirects=False,
        **options,
    )


def test_this_machine_needs_a_log_in_too(node):
    """Unless the site says otherwise."""
    assert at_home(node).get("/").status_code == 303


def test_this_machine_may_read_if_the_site_says_so(data_folder):
    """Not change, not by another name, not through a proxy, not the users."""
    with web_node(data_folder, open_on_loopback=True) as node:
        client = at_home(node)
        assert client.get("/").status_code == 200
        assert client.get("/status.json").json()["series"]
        assert client.get("/users").status_code == 403
        assert client.post(f"/api/v1/studies/{node.study}/urgent").status_code == 401
        assert client.get("/", headers={"Host": "evil.example"}).status_code == 303
        assert client.get("/", headers={"X-Forwarded-For": "10.0.0.9"}).status_code == 303
        assert node.client().get("/").status_code == 303


def test_a_session_that_is_over_lets_a_waiting_page_load_again(node):
    """What a page asks for by itself neither keeps a session nor shows a log-in inside of it."""
    client = node.client("vera")
    polls = {"HX-Request": "true"}
    for _ in range(4):
        node.clock.turn(1000)
        last = client.get("/", headers=polls)

    assert last.status_code == 401
    assert last.headers["hx-refresh"] == "true"


def test_a_long_request_is_not_read(node):
    """No form is that long."""
    answer = node.client().post("/login", content=b"x" * 300_000)

    assert answer.status_code == 413


def test_what_cannot_be_read_is_named_but_not_quoted(node):
    """An answer never repeats what was sent."""
    header = node.token(UserRole.ADMIN)

    answer = node.client().post("/api/v1/users", json={"name": "POISON" * 20}, headers=header)

    assert answer.status_code == 422
    assert "body.name" in answer.json()["detail"]
    assert "POISON" not in answer.text
