"""Audit and worklists in the browser: who was turned away, what waits, which day, which kind."""

from datetime import UTC, datetime, timedelta

import pytest

from dicom_node.association.refusals import REFUSAL_WORDS, RefusalCount, RefusalKind
from dicom_node.bootstrap.audit import audit_spool
from dicom_node.bootstrap.audit_state import note_repository
from dicom_node.bootstrap.receiver_report import remember
from dicom_node.configuration.edits import AddEntry, SetValue
from dicom_node.jobs.documents import Documents
from dicom_node.jobs.refused_callers import MOST, RefusedCallers
from dicom_node.users.role import UserRole

NOON = datetime(2026, 1, 10, 12, tzinfo=UTC)


def refused(count=1, *, at=NOON, title="CT7", address="10.0.0.7", kind="unknown_caller"):
    return RefusalCount(
        kind=RefusalKind(kind), address=address, ae_title=title, count=count, last_at=at
    )


@pytest.fixture
def callers(node):
    return RefusedCallers(node.ledger.database)


def change(node, *edits):
    """Change the settings, and let the pages go by them."""
    node.desk.change(list(edits), who="anna", now=node.clock())
    node.pages.use(node.desk.read().settings)


def test_the_same_caller_is_one_entry(callers):
    """Reports a few seconds apart add up; another reason is another entry."""
    remember(callers, [refused(2), refused(kind="wrong_address")])
    remember(callers, [refused(3, at=NOON + timedelta(hours=1))])

    latest, other = callers.read()
    assert (latest.kind, latest.count) == ("unknown_caller", 5)
    assert (latest.first_at, latest.last_at) == (NOON, NOON + timedelta(hours=1))
    assert (other.kind, other.count) == ("wrong_address", 1)


def test_the_last_hundred_stay(callers):
    """Whoever scans ports does not fill the ledger."""
    for number in range(0, 300, 50):
        remember(
            callers,
            [
                refused(address=f"10.0.{n // 250}.{n % 250}", at=NOON + timedelta(seconds=n))
                for n in range(number, number + 50)
            ],
        )

    kept = callers.read()
    assert len(kept) == MOST
    assert kept[0].last_at == NOON + timedelta(seconds=299)


def test_whom_the_receiver_turned_away_is_shown_in_words(node, callers):
    """Title, address, why, how often; in Chinese, too."""
    remember(callers, [refused(4)])
    client = node.client("anna")

    page = client.get("/audit?kind=refusal").text
    client.cookies.set("ichnode-language", "zh")
    chinese = client.get("/audit?kind=refusal").text

    assert "CT7 10.0.0.7" in page
    assert REFUSAL_WORDS[RefusalKind.UNKNOWN_CALLER] in page
    assert "4 times" in page
    assert "log-in" not in page.split("<tbody>")[1]
    assert "呼叫方 AE 标题不在设置中" in chinese


@pytest.mark.parametrize(
    ("query", "number"),
    [
        ("since=2026-01-10", 1),
        ("until=2026-01-10", 1),
        ("since=2026-01-11", 0),
        ("until=2026-01-09", 0),
        ("since=2026-01-01&until=2026-01-31&who=ct7", 1),
        ("since=nonsense", 1),
    ],
)
def test_days_bound_what_is_shown(node, callers, query, number):
    """The last day is included; what is no day bounds nothing."""
    remember(callers, [refused()])
    header = node.token(UserRole.ADMIN)

    found = node.client().get(f"/api/v1/audit?kind=refusal&{query}", headers=header).json()

    assert len(found) == number


def test_log_ins_and_changes_have_their_days_too(node):
    """Of whatever kind: nothing happened before the node was there."""
    change(node, SetValue(table="node", key="max_associations", value=7))
    client = node.client("anna")
    client.post("/login", data={"name": "anna", "password": "x"})

    for kind in ("log-in", "configuration", "intervention"):
        early = client.get(f"/audit?kind={kind}&until=2001-01-01").text
        assert "There is nothing of the kind." in early
    assert "anna" in client.get("/audit?kind=configuration&since=2001-01-01").text


def test_the_spool_of_the_trail_is_shown_with_its_last_error(node):
    """How many wait, since when, and why; nothing when the site wants no trail."""
    client = node.client("anna")
    assert "audit.enabled is false" in client.get("/audit").text

    change(node, SetValue(table="audit", key="enabled", value=True))
    audit_spool(node.desk.read().settings).put(b"<AuditMessage/>")
    note_repository(Documents(node.ledger.database), "connection refused", node.clock())

    page = client.get("/audit").text
    told = client.get("/api/v1/audit/trail", headers=node.token(UserRole.ADMIN)).json()

    assert "connection refused" in page
    assert told["is_on"]
    assert told["waiting"] >= 1
    assert told["fault"] == "connection refused"


def test_a_worklist_of_the_settings_is_shown_before_it_was_asked(node):
    """On both pages, with its state once it was asked, and also when it is configured no more."""
    client = node.client("vera")
    assert "Worklists" not in client.get("/").text
    values = {"name": "tasks", "url": "https://vna.example/dicom-web", "codes": ["ICH-CT"]}
    change(node, AddEntry(array="worklists", values=values))

    for path in ("/", "/deliveries"):
        assert "not asked yet" in client.get(path).text
    now = node.clock()
    node.ledger.worklists.failed("tasks", "HTTP 503", again_at=now, now=now)
    node.ledger.worklists.reached("older", again_at=now, now=now)

    for path in ("/", "/deliveries"):
        page = client.get(path).text
        assert "HTTP 503" in page
        assert "no longer in the settings" in page
    (older, tasks) = client.get("/api/v1/overview", headers=node.token(UserRole.VIEWER)).json()[
        "worklists"
    ]
    assert (older["name"], older["is_configured"]) == ("older", False)
    assert (tasks["name"], tasks["failures"], tasks["in_hand"]) == ("tasks", 1, 0)
