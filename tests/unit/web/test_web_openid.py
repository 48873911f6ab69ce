"""Log-in by OpenID Connect: who gets in, as what, and every way in that must stay shut."""

import hashlib
import hmac
import json
import shutil
from contextlib import contextmanager
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from certificate_builder import Authority
from oidc_provider import (
    CLIENT_ID,
    CLIENT_SECRET,
    EcSigner,
    RsaSigner,
    oidc_provider,
    packed,
    signed,
)
from web_builder import PASSWORD, post, toml, web_node

from dicom_node.commands.check import _log_in_provider
from dicom_node.errors import AccountError
from dicom_node.jobs.user_ledger import SignIn
from dicom_node.settings.file import SettingsError, load_settings
from dicom_node.users.role import UserRole

PUBLIC = "https://node.example"
COOKIE = "__Host-ichnode-8180"
ROLES = {"viewer": "radiology", "operator": "it", "admin": "ichnode-admins"}


@contextmanager
def site(folder, *, tls=None, **options):
    """Run a provider, and a node that sends people there."""
    late = {}

    def now():
        return late["node"].clock()

    secret = folder / "oidc.secret"
    secret.write_text(f"{CLIENT_SECRET}\n")
    secret.chmod(0o600)
    with oidc_provider(redirect_uri=f"{PUBLIC}/login/openid/done", clock=now, tls=tls) as provider:
        provider.claims["groups"] = ["radiology"]
        settings = {
            "public_url": PUBLIC,
            "oidc_issuer": provider.issuer,
            "oidc_client_id": CLIENT_ID,
            "oidc_secret_file": str(secret),
            **options,
        }
        with web_node(folder, **settings) as node:
            late["node"] = node
            yield node, provider


@pytest.fixture
def house(data_folder):
    with site(data_folder, oidc_roles=ROLES) as pair:
        yield pair


def browser(node):
    client = node.client()
    client.base_url = PUBLIC
    return client


def asked(client, path="/studies"):
    """Begin a log-in; return where the browser is sent."""
    answer = client.get("/login/openid", params={"next": path})
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


def brought_back(where):
    """Log in at the provider; return where it sends the browser."""
    return httpx.get(where).headers["location"]


def through(node, client=None):
    """Log in by the provider from beginning to end; return browser and last answer."""
    client = client or browser(node)
    return client, client.get(brought_back(asked(client)))


def last_sign_in(node):
    one = node.ledger.users.unaudited()[-1]
    return one.name, one.outcome


@pytest.mark.parametrize("signer", [RsaSigner, EcSigner])
def test_a_person_with_a_role_gets_in(house, signer):
    """By code and PKCE, with either algorithm; the log-in page leads there and back."""
    node, provider = house
    provider.signer = signer()
    provider.shown = [RsaSigner("other", number=1), provider.signer]

    client, answer = through(node)

    assert "/login/openid?next=" in browser(node).get("/login").text
    assert (answer.status_code, answer.headers["location"]) == (303, "/studies")
    session = next(c for c in answer.headers.get_list("set-cookie") if c.startswith(f"{COOKIE}="))
    assert "HttpOnly" in session
    assert "Secure" in session
    who = client.get("/api/v1/session").json()
    assert (who["name"], who["role"]) == ("anna@oidc", "viewer")
    assert node.ledger.users.account("anna@oidc").kind == "oidc"
    assert last_sign_in(node) == ("anna@oidc", SignIn.IN)


def test_the_question_is_as_the_standard_wants_it(house):
    """Code flow, S256, and a state, a nonce and a challenge that are new each time."""
    node, _ = house
    first, second = (parse_qs(urlsplit(asked(browser(node))).query) for _ in range(2))

    assert first["response_type"] == ["code"]
    assert first["code_challenge_method"] == ["S256"]
    for name in ("state", "nonce", "code_challenge"):
        assert first[name] != second[name]
    assert len({first["state"][0], first["nonce"][0], first["code_challenge"][0]}) == 3


def test_the_highest_role_counts_and_changes_with_the_provider(house):
    """Each log-in says anew what somebody may do."""
    node, provider = house
    provider.claims["groups"] = ["radiology", "ichnode-admins", "choir"]
    through(node)
    was = node.ledger.users.account("anna@oidc").role
    provider.claims["groups"] = "it"
    provider.claims["preferred_username"] = "anna.married"
    through(node)

    assert was == "admin"
    assert node.ledger.users.account("anna@oidc").role == "operator"
    assert node.ledger.users.account("anna.married@oidc") is None


def test_nobody_without_a_role_gets_in_and_open_sessions_end(house):
    """Whoever has lost the last role has lost the session, too."""
    node, provider = house
    client, _ = through(node)
    provider.claims["groups"] = ["choir"]
    _, refused = through(node)

    assert refused.status_code == 403
    assert "gives you no role" in refused.text
    assert f"{COOKIE}=" not in " ".join(refused.headers.get_list("set-cookie"))
    assert client.get("/studies").status_code == 303
    assert last_sign_in(node) == ("anna@oidc", SignIn.FAILED)


def test_a_role_that_is_not_mapped_is_given_by_no_empty_value(data_folder):
    """An empty group of a token does not fit an empty entry of the settings."""
    with site(data_folder, oidc_roles={"viewer": "radiology"}) as (node, provider):
        provider.claims["groups"] = ["", None, 7]
        assert through(node)[1].status_code == 403


def test_a_claim_may_lie_within_another(data_folder):
    """As Keycloak has it; a claim of that very name goes before."""
    with site(data_folder, oidc_claim="realm_access.roles", oidc_roles=ROLES) as (
        node,
        provider,
    ):
        provider.claims["realm_access"] = {"roles": ["it"]}
        through(node)
        assert node.ledger.users.account("anna@oidc").role == "operator"


def test_a_role_that_only_user_info_tells_counts(house):
    """Core 1.0, section 5.4: in the code flow the claims of a scope may be there alone."""
    node, provider = house
    del provider.claims["groups"], provider.claims["preferred_username"]
    provider.user_info = {
        "sub": provider.claims["sub"],
        "groups": ["it"],
        "preferred_username": "Anna",
    }

    through(node)

    assert node.ledger.users.account("anna@oidc").role == "operator"


def test_user_info_is_not_asked_what_the_token_says(house):
    """One question less, and the signed answer goes before the other."""
    node, provider = house
    provider.user_info = {"sub": provider.claims["sub"], "groups": ["ichnode-admins"]}

    through(node)

    assert node.ledger.users.account("anna@oidc").role == "viewer"
    assert "/realm/me" not in provider.asked


def test_user_info_about_somebody_else_is_refused(house):
    """Section 5.3.2: its sub must be that of the ID token, or nothing of it may be used."""
    node, provider = house
    del provider.claims["groups"]
    provider.user_info = {"sub": "another", "groups": ["ichnode-admins"]}

    client, answer = through(node)

    assert answer.status_code == 403
    assert "answer was refused" in answer.text
    assert client.get("/studies").status_code == 303


def test_user_info_is_asked_by_tls_or_not_at_all(house):
    """The access token opens what the provider keeps of a person."""
    node, provider = house
    del provider.claims["groups"]
    provider.metadata = {"userinfo_endpoint": "http://users.example/me"}

    assert through(node)[1].status_code == 503


def test_the_provider_cannot_name_an_account_of_the_node(house):
    """Its "anna" is not the admin of that name, and another subject is not the first one."""
    node, provider = house
    through(node)
    provider.claims["sub"] = "another"
    _, refused = through(node)

    assert node.ledger.users.account("anna").role == "admin"
    assert node.ledger.users.account("anna").kind == "local"
    assert refused.status_code == 403
    assert "somebody else" in refused.text


def test_accounts_of_the_provider_have_no_password(house):
    """None can be set, by code or by themselves, nor their role; the node's admins get in."""
    node, _ = house
    client, _ = through(node)
    with pytest.raises(AccountError, match="log-in provider"):
        node.pages.accounts.new_code("anna@oidc")
    with pytest.raises(AccountError, match="log-in provider"):
        node.pages.accounts.set_role("anna@oidc", UserRole.ADMIN)
    with pytest.raises(AccountError, match="is wrong"):
        node.pages.entrance.log_in("anna@oidc", "", address="10.0.0.5")
    changed = post(client, "/account", old="", password=PASSWORD, again=PASSWORD)

    assert changed.status_code == 422
    assert "keeps this password" in changed.text
    assert node.pages.entrance.log_in("anna", PASSWORD, address="10.0.0.5")


def test_the_last_admin_of_the_node_stays_whatever_the_provider_says(house):
    """Somebody must get in when the provider is away."""
    node, provider = house
    provider.claims["groups"] = ["ichnode-admins"]
    through(node)

    with pytest.raises(AccountError, match="last admin"):
        node.pages.accounts.remove("anna")
    node.pages.accounts.remove("anna@oidc")
    assert node.ledger.users.account("anna@oidc") is None


def test_log_out_ends_the_session(house):
    """As for everybody."""
    node, _ = house
    client, _ = through(node)
    post(client, "/logout")

    assert client.get("/studies").status_code == 303
    assert last_sign_in(node) == ("anna@oidc", SignIn.OUT)


def with_public_key_as_secret(claims, provider):
    """Sign by HS256 with what everybody knows: the key that the provider shows."""
    head = packed({"alg": "HS256", "kid": provider.signer.key_id})
    body = f"{head}.{packed(claims)}"
    secret = json.dumps(provider.signer.jwk()).encode()
    return f"{body}.{packed(hmac.new(secret, body.encode(), hashlib.sha256).digest())}"


def turned(token):
    """Change one claim of a signed token."""
    head, body, signature = token.split(".")
    return ".".join((head, body[:-6] + ("A" if body[-6] != "A" else "B") + body[-5:], signature))


ATTACKS = {
    "no signature": lambda claims, _: f"{packed({'alg': 'none'})}.{packed(claims)}.",
    "none in capitals": lambda claims, p: signed(claims, p.signer, alg="None"),
    "public key as secret": with_public_key_as_secret,
    "another key": lambda claims, p: signed(claims, RsaSigner(p.signer.key_id, number=1)),
    "unknown key": lambda claims, _: signed(claims, RsaSigner("unknown")),
    "key in the token": lambda claims, _: signed(
        claims, (own := RsaSigner("own", number=1)), jwk=own.jwk()
    ),
    "changed": lambda claims, p: turned(signed(claims, p.signer)),
    "RSA taken for EC": lambda claims, p: signed(claims, p.signer, alg="ES256"),
    "extension": lambda claims, p: signed(claims, p.signer, crit=["b64"], b64=False),
    "not a token": lambda *_: "x",
    "not base64": lambda *_: "***.***.***",
    "five parts": lambda *_: "a.b.c.d.e",
    "other issuer": lambda claims, p: signed({**claims, "iss": "https://evil"}, p.signer),
    "other audience": lambda claims, p: signed({**claims, "aud": "other"}, p.signer),
    "other party": lambda claims, p: signed({**claims, "azp": "other"}, p.signer),
    "many audiences": lambda claims, p: signed({**claims, "aud": [CLIENT_ID, "other"]}, p.signer),
    "other nonce": lambda claims, p: signed({**claims, "nonce": "0" * 64}, p.signer),
    "no nonce": lambda claims, p: signed(without(claims, "nonce"), p.signer),
    "expired": lambda claims, p: signed({**claims, "exp": claims["iat"] - 121}, p.signer),
    "no end": lambda claims, p: signed(without(claims, "exp"), p.signer),
    "of the future": lambda claims, p: signed({**claims, "iat": claims["iat"] + 121}, p.signer),
    "not yet": lambda claims, p: signed({**claims, "nbf": claims["iat"] + 121}, p.signer),
    "old": lambda claims, p: signed({**claims, "iat": claims["iat"] - 721}, p.signer),
    "end is a word": lambda claims, p: signed({**claims, "exp": "never"}, p.signer),
    "nobody": lambda claims, p: signed(without(claims, "sub"), p.signer),
    "a list": lambda claims, p: signed([claims], p.signer),
}


def without(claims, name):
    return {key: value for key, value in claims.items() if key != name}


@pytest.fixture(scope="module")
def attacked(prepared, tmp_path_factory):
    """Return one site for all attacks; none of them leaves anything but a refusal."""
    folder = shutil.copytree(prepared, tmp_path_factory.mktemp("attacked") / "data")
    with site(folder, oidc_roles=ROLES) as pair:
        yield pair


@pytest.mark.parametrize("attack", list(ATTACKS))
def test_a_token_that_cannot_be_believed_is_refused(attacked, attack):
    """RFC 8725 and OpenID Connect Core 3.1.3.7; the refusal is written down."""
    node, provider = attacked
    provider.make_token = lambda claims: ATTACKS[attack](claims, provider)

    client, answer = through(node)

    assert answer.status_code == 403
    assert "answer was refused" in answer.text
    assert client.get("/studies").status_code == 303
    assert last_sign_in(node) == ("unknown@oidc", SignIn.FAILED)


def test_a_short_rsa_key_is_refused(house):
    """RFC 7518, section 3.3: 2048 bits or more."""
    node, provider = house
    provider.signer = RsaSigner(bits=1024)
    provider.shown = [provider.signer]

    assert through(node)[1].status_code == 403


def test_the_answer_for_another_browser_is_refused(house):
    """Log-in CSRF: somebody's link would log the reader in as that somebody."""
    node, _ = house
    theirs = brought_back(asked(browser(node)))
    fresh, other = browser(node), browser(node)
    asked(other)

    assert fresh.get(theirs).status_code == 403
    assert other.get(theirs).status_code == 403
    assert other.get("/studies").status_code == 303


def test_an_answer_counts_once(house):
    """The cookie is gone after it, and the provider takes a code once."""
    node, _ = house
    client = browser(node)
    where = brought_back(asked(client))
    kept = client.cookies[f"{COOKIE}-openid"]
    assert client.get(where).status_code == 303
    assert f"{COOKIE}-openid" not in client.cookies
    again = browser(node)
    again.cookies.set(f"{COOKIE}-openid", kept)

    assert client.get(where).status_code == 403
    assert again.get(where).status_code == 403


def test_a_stolen_code_is_worth_nothing(house):
    """PKCE: whoever brings it from another log-in has not got the verifier."""
    node, _ = house
    stolen = parse_qs(urlsplit(brought_back(asked(browser(node)))).query)["code"][0]
    thief = browser(node)
    own = parse_qs(urlsplit(asked(thief)).query)["state"][0]

    answer = thief.get("/login/openid/done", params={"code": stolen, "state": own})

    assert answer.status_code == 403


@pytest.mark.parametrize(
    "change", [{"iss": "https://other.example"}, {"error": "access_denied"}, {"code": ""}]
)
def test_an_answer_that_is_not_the_providers_yes_is_refused(house, change):
    """Mix-up of providers (RFC 9207), a refusal, and nothing at all."""
    node, _ = house
    client = browser(node)
    query = parse_qs(urlsplit(brought_back(asked(client))).query)
    fields = {**{key: value for key, (value,) in query.items()}, **change}

    assert client.get("/login/openid/done", params=fields).status_code == 403


def test_log_in_never_leads_elsewhere(house):
    """No open redirect by the way of the provider."""
    node, _ = house
    client = browser(node)
    answer = client.get(brought_back(asked(client, "//evil.example")))

    assert answer.headers["location"] == "/"


@pytest.mark.parametrize(
    "metadata",
    [
        {"issuer": "https://evil.example"},
        {"token_endpoint": "http://token.example/"},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"jwks_uri": None},
    ],
)
def test_a_provider_that_says_something_else_of_itself_is_not_asked(house, metadata):
    """OpenID Connect Discovery, section 4.3; nothing is sent where it can be overheard."""
    node, provider = house
    provider.metadata = metadata
    answer = browser(node).get("/login/openid")

    assert answer.status_code == 503
    assert provider.asked == ["/realm/.well-known/openid-configuration"]


def test_new_keys_are_fetched_when_a_token_names_one(house):
    """Providers change their keys; the node asks again, but not at everybody's command."""
    node, provider = house
    through(node)
    provider.signer = RsaSigner("rsa-2", number=1)
    provider.shown = [provider.signer]
    at_once = through(node)[1].status_code
    node.clock.turn(61)

    assert at_once == 403
    assert through(node)[1].status_code == 303
    assert provider.asked.count("/realm/keys") == 2


def test_without_the_provider_the_nodes_own_accounts_get_in(data_folder):
    """The page says so, and no failure is held against anybody."""
    with site(data_folder, oidc_roles=ROLES) as (node, provider):
        where = provider.issuer
    assert where
    with web_node(
        data_folder,
        public_url=PUBLIC,
        oidc_issuer=where,
        oidc_client_id=CLIENT_ID,
        oidc_roles=ROLES,
    ) as node:
        client = browser(node)
        answer = client.get("/login/openid")
        own = post(client, "/login", page="/login", name="vera", password=PASSWORD)

    assert answer.status_code == 503
    assert "cannot be reached" in answer.text
    assert own.status_code == 303


def test_a_provider_that_fails_at_the_exchange_is_away(house):
    """HTTP 500 is nobody's wrong log-in."""
    node, provider = house
    provider.token_status = 500
    _, answer = through(node)

    assert answer.status_code == 503
    assert node.ledger.users.unaudited() == ()


def test_tls_to_the_provider_is_strict(data_folder, tmp_path):
    """Only with a certificate of an authority that the site believes."""
    authority, other = Authority(tmp_path / "tls"), Authority(tmp_path / "other", name="Other CA")
    files = authority.issue("provider")
    results = {}
    for name, believed in (("right", authority), ("wrong", other)):
        with site(
            data_folder,
            tls=files,
            oidc_trusted=str(believed.certificate),
            oidc_roles=ROLES,
        ) as (node, _):
            results[name] = browser(node).get("/login/openid").status_code

    assert results == {"right": 303, "wrong": 503}


def test_without_a_provider_both_addresses_lead_to_the_log_in(node):
    """And the page offers none."""
    client = node.client()

    assert client.get("/login/openid").headers["location"] == "/login"
    assert client.get("/login/openid/done?code=1").headers["location"] == "/login"
    assert "/login/openid" not in client.get("/login").text


def test_check_asks_the_provider_what_it_is(data_folder):
    """Before anybody wants to log in."""
    with site(data_folder, oidc_roles=ROLES) as (node, provider):
        good = list(_log_in_provider(node.settings))
        provider.metadata = {"issuer": "https://other.example"}
        bad = list(_log_in_provider(node.settings))

    assert [one.good for one in (*good, *bad)] == [True, False]
    assert "letter by letter" in bad[0].detail


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"public_url": "http://node.example"}, "web.public_url"),
        ({"oidc_client_id": ""}, "web.oidc_client_id"),
        ({"oidc_roles": {}}, "web.oidc_roles"),
        ({"oidc_issuer": "http://login.example"}, "web.oidc_issuer"),
        ({"oidc_scopes": "profile"}, "web.oidc_scopes"),
    ],
)
def test_settings_that_let_nobody_or_anybody_in_are_faults(tmp_path, change, key):
    """Named by their key, when the file is read."""
    web = {
        "public_url": PUBLIC,
        "oidc_issuer": "https://login.example",
        "oidc_client_id": "ichnode",
        "oidc_roles": ROLES,
        **change,
    }
    lines = [f"{name} = {toml(value)}" for name, value in web.items()]
    file = tmp_path / "node.toml"
    file.write_text("\n".join(['[node]\ndata_dir = "/data"', "[web]", *lines]))

    with pytest.raises(SettingsError) as caught:
        load_settings(file, environment={})

    assert [fault.key for fault in caught.value.faults] == [key]
