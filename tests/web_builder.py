"""A node's pages on a small ledger: a study with results, one that waits, three people."""

import json
import re
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fastapi.testclient import TestClient
from node_builders import Clock, arrive, opened_ledger, result_objects, small_series

from dicom_node.bootstrap.layout import PICTURE_NAME, DataLayout
from dicom_node.bootstrap.web import NodePages
from dicom_node.configuration.desk import ConfigurationDesk
from dicom_node.delivery.outbox import Outbox
from dicom_node.intake.assembly import AssemblyRules
from dicom_node.intake.default_rules import DEFAULT_RULES
from dicom_node.jobs.ledger import Ledger
from dicom_node.jobs.office import AssemblyOffice
from dicom_node.jobs.study_search import StudyQuery, StudySearch
from dicom_node.settings.schema import Settings
from dicom_node.users.accounts import Accounts
from dicom_node.users.password import Passwords
from dicom_node.users.role import UserRole

PASSWORD = "a long phrase of words"  # noqa: S105 - of a test
PEOPLE = {"vera": UserRole.VIEWER, "otto": UserRole.OPERATOR, "anna": UserRole.ADMIN}

#: As cheap as argon2 gets.
QUICK = Passwords(memory_kib=32, rounds=1)

#: The smallest PNG there is: one pixel.
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c489"
    "0000000d49444154789c6360000002000100ffff03000006000557bfabd40000000049454e44ae426082"
)

RECORD = {
    "status": "hematoma_found",
    "volume_ml": 23.456,
    "volume_range_ml": [15.2, 32.4],
    "compartments_ml": {"intraventricular_hemorrhage": 2.0},
    "he_probability": 0.714,
    "he_label": "HE",
    "flags": ["tilt_corrected"],
}


SETTINGS = """\
# The node of these tests.
[node]
data_dir = {folder}
callers = ["CT1", {{ ae_title = "CT2", address = "10.0.0.21" }}]

[[peers]]
name = "pacs"  # the archive
ae_title = "PACS"
host = "127.0.0.1"
port = 11113
receives_results = true

[web]
{web}
"""


def _lines(table: dict[str, object]) -> str:
    return "\n".join(f"{key} = {toml(value)}" for key, value in table.items())


def toml(value: object) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {toml(one)}" for key, one in value.items()) + " }"
    return json.dumps(value)


@dataclass(kw_only=True)
class WebNode:
    """Pages, what they show, and who may see it."""

    pages: NodePages
    ledger: Ledger
    clock: Clock
    settings: Settings
    desk: ConfigurationDesk
    study: str
    series: str
    waiting: str
    job: int

    def client(self, name: str | None = None, *, address: str = "10.0.0.5") -> TestClient:
        """Return a browser, logged in as somebody or as nobody; it follows no redirect."""
        client = TestClient(
            self.pages.app,
            base_url="http://node.example:8180",
            client=(address, 50000),
            follow_redirects=False,
        )
        if name is not None:
            secret = self.pages.entrance.log_in(name, PASSWORD, address=address)
            client.cookies.set("ichnode-8180", secret)
        return client

    def token(self, role: UserRole) -> dict[str, str]:
        """Return the header of a program."""
        name = f"robot-{role}-{len(self.pages.accounts.tokens())}"
        token = self.pages.accounts.add_token(name, role, days=1, by="test")
        return {"Authorization": f"Bearer {token}"}


def csrf_of(html: str) -> str:
    """Return the secret of the forms of a page."""
    return re.search(r'name="csrf" value="([0-9a-f]{64})"', html)[1]


def post(client: TestClient, path: str, page: str = "/account", **fields: str):
    """Send a form as the page has it."""
    secret = csrf_of(client.get(page).text)
    return client.post(path, data={"csrf": secret, **fields})


def decided(ledger: Ledger, clock: Clock) -> None:
    """Let the office find studies complete and choose their series."""
    office = AssemblyOffice(
        ledger=ledger, assembly=AssemblyRules(), selection=DEFAULT_RULES, clock=clock
    )
    for _ in range(2):
        clock.turn(20)
        office.tick()


def finish(ledger: Ledger, clock: Clock, layout: DataLayout, *, seconds: float = 30.0) -> int:
    """Analyse the next job and deliver its results; return its number."""
    held = ledger.jobs.claim("w", now=clock(), lease_s=60, time_limit_s=60)
    number = held.task.job_id
    ledger.jobs.complete(
        held,
        Outbox(layout.outbox).store(result_objects(str(number))),
        model_digest="m",
        configuration_digest="c",
        destinations=("pacs",),
        record=RECORD,
        now=clock(),
    )
    summary = layout.summary(number)
    summary.mkdir(parents=True, exist_ok=True)
    (summary / PICTURE_NAME).write_bytes(PNG)
    clock.turn(seconds)
    parcel = ledger.deliveries.claim("pacs", "office", now=clock(), lease_s=60)
    for item in parcel.items:
        ledger.deliveries.accept(item, "Success", now=clock())
    return number


def prepare(folder: Path) -> None:
    """Fill a data directory: three people, a study with results, one that waits."""
    clock, layout = Clock(), DataLayout(root=folder)
    layout.prepare()
    with opened_ledger(layout.ledger) as ledger:
        accounts = Accounts(ledger.users, clock=clock)
        for name, role in PEOPLE.items():
            accounts.add(name, role, by="test")
            ledger.users.set_password(name, QUICK.hash(PASSWORD), clock())
        arrive(ledger, small_series(seed=1), clock)
        decided(ledger, clock)
        finish(ledger, clock, layout)
        arrive(ledger, small_series(seed=2), clock, association_id="association-2")
        decided(ledger, clock)


@contextmanager
def web_node(folder: Path, *, try_models=lambda _: None, **web):
    """Run the pages of a node on a data directory that was prepared; no network is loaded."""
    file = folder / "node.toml"
    file.write_text(SETTINGS.format(folder=json.dumps(str(folder)), web=_lines(web)))
    desk = ConfigurationDesk(file, environment={})
    settings = desk.read().settings
    clock = Clock()
    clock.turn(200)
    with opened_ledger(DataLayout(root=folder).ledger) as ledger:
        latest, first = StudySearch(ledger.database).find(StudyQuery()).studies
        yield WebNode(
            pages=NodePages(
                settings,
                ledger=ledger,
                clock=clock,
                desk=desk,
                passwords=QUICK,
                try_models=try_models,
            ),
            desk=desk,
            ledger=ledger,
            clock=clock,
            settings=settings,
            study=first.study_instance_uid,
            series=first.series[0].series_instance_uid,
            waiting=latest.study_instance_uid,
            job=first.series[0].job.job_id,
        )
