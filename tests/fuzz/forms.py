"""Target behind the log-in: forms of the pages, sent by an administrator with a valid secret."""

from functools import cache
from html.parser import HTMLParser
from random import Random
from urllib.parse import quote, urlencode, urlsplit

from fuzz.campaign import Target
from fuzz.mutation import HOSTILE, blind, tokens
from fuzz.web_port import ask_application, is_no_fault, kept_node
from web_builder import PASSWORD, PEOPLE, QUICK, csrf_of

from dicom_node.users.role import UserRole
from dicom_node.web.headers import SECURITY_HEADERS

_ADMIN = next(name for name, role in PEOPLE.items() if role is UserRole.ADMIN)

#: Whoever is called by these is not ours, or they end the visit.
_OUTWARD = ("/peers/test", "/upload", "/models", "/log", "/first", "/reprocess")

_PAGES = (
    *(
        "/",
        "/studies",
        "/deliveries",
        "/peers",
        "/routing",
        "/configuration",
        "/users",
        "/account",
    ),
    *("/peers/dicom/form", "/peers/web/form", "/peers/callers/form"),
)

_VISIT_AGAIN_EVERY = 50

#: Longer than anybody is kept waiting who has typed wrong passwords.
_LOCKED_S = 3600.0


class _Forms(HTMLParser):
    """Collects action and fields of every form that is sent by POST."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, list[tuple[str, str]]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a form or one of its fields."""
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            is_post = given.get("method", "").lower() == "post"
            self.found.append((given.get("action", "") if is_post else "", []))
        elif tag in {"input", "select", "textarea", "button"} and self.found:
            name = given.get("name", "")
            if name and name != "csrf":
                self.found[-1][1].append((name, given.get("value", "x")))


class _Visitor:
    """An administrator who comes again now and then."""

    def __init__(self) -> None:
        self._cases = 0
        self._cookie = self._secret = ""

    def __call__(self, data: bytes) -> None:
        """Send a form: its action is the first line, its fields are the rest."""
        self._visit()
        action, _, fields = data.partition(b"\n")
        path = quote(action.decode("utf-8", "replace"), safe="/%-._~")
        if path.startswith(_OUTWARD) or not path.startswith("/"):
            return
        status, headers = ask_application(
            path,
            body=b"csrf=" + self._secret.encode() + b"&" + fields,
            headers=[
                (b"cookie", self._cookie.encode()),
                (b"content-type", b"application/x-www-form-urlencoded"),
            ],
        )
        assert is_no_fault(status), status
        for name, value in SECURITY_HEADERS.items():
            assert headers[name.lower().encode()] == value.encode(), name
        assert not kept_node().desk.read().faults, "the settings were spoilt"

    def _visit(self) -> None:
        if self._cases % _VISIT_AGAIN_EVERY == 0:
            node = kept_node()  # whose administrator some case may have shut out, or for a while
            node.clock.turn(_LOCKED_S)
            node.ledger.users.set_password(_ADMIN, QUICK.hash(PASSWORD), node.clock())
            client = node.client(_ADMIN)
            self._cookie = "; ".join(f"{one.name}={one.value}" for one in client.cookies.jar)
            self._secret = csrf_of(client.get("/account").text)
        self._cases += 1


@cache
def _forms() -> tuple[bytes, ...]:
    """Return every form that the pages show to an administrator, filled in as it comes."""
    client, node = kept_node().client(_ADMIN), kept_node()
    forms = _Forms()
    for page in (*_PAGES, f"/studies/{node.study}", f"/studies/{node.waiting}"):
        forms.feed(client.get(page).text)
    wanted = {
        f"{urlsplit(action).path}\n{urlencode(fields)}".encode(): None
        for action, fields in forms.found
        if action and not action.startswith(_OUTWARD)
    }
    return tuple(wanted)


_FIELDS = tokens(
    (
        *(quote(one).encode() for one in HOSTILE), b"&", b"=", b"&name=", b"&why=", b"%00", b"%ff",
        b"&port=0", b"&port=99999999999999999999", b"&port=-1", b"[]", b"{}",
        b"%22%0a%5bnode%5d%0a",
        b"&expected=" + b"0" * 64, b"&value=nan", b"&value=1e999", b"true", b"&role=admin",
    )
)  # fmt: skip


def _of_another(data: bytes, random: Random) -> bytes:
    """Send the fields of one form to another, or to an act that is not there."""
    action, _, fields = data.partition(b"\n")
    if random.randrange(2):
        return random.choice(_forms()).partition(b"\n")[0] + b"\n" + fields
    head, _, _ = action.rpartition(b"/")
    return head + b"/" + random.choice((*HOSTILE, b"0", b"-1", b"remove")) + b"\n" + fields


def _in_fields(data: bytes, random: Random) -> bytes:
    action, _, fields = data.partition(b"\n")
    return action + b"\n" + random.choice((_FIELDS, _FIELDS, blind))(fields, random)


def targets() -> list[Target]:
    """Return the targets of this module."""
    return [
        Target(
            name="forms",
            seeds=_forms(),
            check=_Visitor(),
            mutations=(_in_fields, _in_fields, _in_fields, _of_another),
        )
    ]
