"""Poisoned data sets on the ways around the line: archives, servers, pages, people's commands.

Storage commitment in both roles, STOW-RS, C-MOVE of earlier scans, models on trial, a worklist
with images by WADO-RS, uploads and pulls, audit trail, alerts, the urgent lane, legal hold,
verification, backup and purge; every partner quotes the patient in its answers, and each step
fails once with the patient in its words. One node goes all of these ways.
"""

import sqlite3
from contextlib import closing, contextmanager, suppress
from urllib.error import HTTPError

import pydicom
import pytest
from acceptance.faulty_node import TRAIL_STEPS
from acceptance.many_commands import run_all
from acceptance.node_process import NodeProcess, wait_until
from acceptance.poisoned_partners import (
    CommittingPacs,
    Program,
    ask_the_node,
    audit_repository,
    order,
    talkative_web,
    talkative_worklist,
)
from acceptance.test_no_patient_in_logs import (
    FAULTY,
    KEPT_VALUES,
    PATIENCE_S,
    head,
    row_of,
    send_until_taken,
    series_of,
    tellings,
    told_by_database,
)
from poison import MARKER, marked
from query_provider import QueryProvider

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(1800)]

SETTINGS = """
[follow_up]
first_retry_s = 0.5
longest_wait_s = 1.0

[selection]
contrast_allowed = true

[urgent]
callers = ["MODALITY"]

[log]
level = "DEBUG"

[audit]
enabled = true
port = {audit_port}

[alerts]
webhook_url = "{web}/hook"
pause_s = 1.0
silence = [{{ caller = "NOBODY", hours = 0.0001 }}]

[retention]
enabled = true
analysed_days = 9000.0

[[web_peers]]
name = "vna"
url = "{web}/dicom-web"
receives_results = true

[[worklists]]
name = "tasks"
url = "http://127.0.0.1:{list_port}/dicom-web"
codes = ["ICH-CT"]
images_from = "web"
poll_s = 1.0
longest_wait_s = 1.0
images_limit_s = 600.0

[[peers]]
name = "old"
ae_title = "PACS"
host = "127.0.0.1"
port = {prior_port}
gives_priors = "move"
"""

#: Changes of the settings that every test node has: what is replaced, and by what.
CHANGES = {
    '"MODALITY"]': '"MODALITY", "PACS"]\nanswers_commitment = true',
    "receives_results = true": "receives_results = true\ncommitment = true",
    "[delivery]\n": "[delivery]\nrefusal_first_retry_s = 0.5\nlongest_wait_s = 1.0\n"
    "commitment_answer_s = 3.0\ncommitment_attempts = 900\nfirst_probe_s = 0.5\n",
    "lease_s = 3.0": "lease_s = 60.0",  # nobody is killed here, and much is to be read
    "[worker]\n": "[worker]\nattempts = 20\nlongest_wait_s = 0.5\n"
    'shadow_segmentation_bundle = "{folder}/trial"\n',
}

#: `rules test` is left out: it shows an operator the series' own words, which rules are about.
COMMANDS = (
    "urgent {study}",
    "hold {study} --why trial",
    "unhold {study}",
    "verify",
    "verify --json",
    "backup {folder}/copy.sqlite",
    "retention plan --json",
    "studies list --json",
    "studies show {study}",
    "worklist",
    "worklist --json",
    "alerts list",
    "health --json",
    "peers test old",
    "config history",
    "purge --study {study} --yes",
)


class Way:
    """A node with everybody who calls it or whom it calls.

    Attributes
    ----------
    prior, follow_up, listed, uploaded, pulled : list of Path
        Poisoned images, by the way on which they come; of the last two too few to be analysed.
    """

    def __init__(self, folder):
        self.folder = folder
        self.node = NodeProcess(folder, pacs_port=1)
        self.node.program[1] = str(FAULTY)
        self.node.patience_s = PATIENCE_S
        self.pacs = CommittingPacs(self.node.dicom_port)
        self.prior = head(folder, 1, day="20260104")
        self.follow_up = head(folder, 2, radius_mm=18.0)
        self.listed = head(folder, 3)
        self.uploaded = head(folder, 4, slices=3)
        whole = head(folder, 5)
        self.pulled = whole[:5] + whole[-5:]
        have = [pydicom.dcmread(path) for path in (*self.prior, *self.pulled)]
        self.provider = QueryProvider(have)
        self.provider.destinations = {"ICHNODE": ("127.0.0.1", self.node.dicom_port)}

    def set_up(self, **ports):
        """Write the settings."""
        text = self.node.config.read_text().replace("port = 1\n", f"port = {self.pacs.port}\n")
        for before, after in CHANGES.items():
            text = text.replace(before, after.format(folder=self.folder))
        self.node.config.write_text(text + SETTINGS.format(**ports))

    def is_done(self, paths, *states):
        """Return whether the series has come to such an end."""
        return row_of(self.node, paths)["state"] in (states or {"delivered"})

    def shadows_are_done(self):
        """Return whether the models on trial have seen what the others have."""
        ledger = self.node.folder / "data" / "ledger.sqlite"
        with closing(sqlite3.connect(ledger)) as connection:
            found = connection.execute("SELECT state FROM jobs WHERE kind = 'shadow'").fetchall()
        states = {state for (state,) in found}
        return states and not states & {"queued", "analyzing"}


@contextmanager
def ways(folder, monkeypatch):
    """Yield a way and what its partners got: the web servers' bodies and the audit messages."""
    way = Way(folder)
    with (
        way.provider.listening() as prior_port,
        talkative_web() as (web, came),
        audit_repository() as (audit_port, messages),
        talkative_worklist(monkeypatch) as server,
    ):
        way.set_up(audit_port=audit_port, web=web, prior_port=prior_port, list_port=server.port)
        order(server, "1.2.66.1", way.listed)
        way.node.start()
        try:
            yield way, came, messages, server
        finally:
            way.node.stop()
            way.pacs.server.shutdown()


def test_no_way_around_the_line_tells_of_a_patient(tmp_path, monkeypatch):
    """What went to the PACS holds the marker; what was told to anybody else does not."""
    monkeypatch.setenv("ICHNODE_FAULTS", str(tmp_path / "faults.txt"))
    monkeypatch.setenv("ICHNODE_FAULTS_OF", "trails")
    (tmp_path / "faults.txt").touch()
    with ways(tmp_path, monkeypatch) as (way, came, messages, server):
        node, program = way.node, Program(way.node)
        send_until_taken(node, way.follow_up)
        wait_for(lambda: ask_the_node(node, way.follow_up) == 0)
        wait_for(lambda: program.upload(way.uploaded)["accepted"] == 3)
        wait_for(lambda: way.is_done(way.follow_up) and way.is_done(way.prior))
        wait_for(lambda: pulled(program))
        wait_for(lambda: server.state("1.2.66.1") == "COMPLETED")
        wait_for(lambda: way.is_done(way.uploaded, "set_aside"))
        wait_for(lambda: way.is_done(way.pulled, "rejected", "delivered"))
        wait_for(way.shadows_are_done)
        wait_for(lambda: 0 in way.pacs.reports and len(came["/hook"]) > 2 and len(messages) > 5)
        study = str(pydicom.dcmread(way.follow_up[0], stop_before_pixels=True).StudyInstanceUID)
        told = run_all(
            node, [one.format(study=study, folder=tmp_path).split() for one in COMMANDS]
        )
        told |= tellings(
            node, [series_of(one) for one in (way.prior, way.follow_up, way.listed, way.pulled)]
        )
    told["log"] = node.log.read_bytes()
    told["audit"] = b"\n".join(messages)
    told["alerts"] = b"\n".join(came["/hook"])
    told["backup"] = KEPT_VALUES.sub(b"", told_by_database(tmp_path / "copy.sqlite").encode())

    assert {where: marked(text) for where, text in told.items() if marked(text)} == {}
    assert node.process.returncode == 0
    assert MARKER.encode() in b"".join(came["/dicom-web/studies"]), "it must have been poisoned"
    assert way.pacs.asked >= 2
    assert server.refusals, "the worklist must have named a patient in its words"
    assert set((tmp_path / "faults.txt").read_text().split()) == set(TRAIL_STEPS)
    assert b"Traceback" not in told["log"]


def pulled(program):
    """Return whether a pull by Patient ID has brought images; begin one if none is under way."""
    runs = [one for one in program.runs() if one["kind"] == "pull"]
    if any(one["step"] == "received" for one in runs):
        return True
    if all(one["step"] == "refused" for one in runs):
        with suppress(HTTPError):
            program.pull("old", patient_id=MARKER)
    return False


def wait_for(condition):
    """Wait until a condition holds; whoever fails with a patient in its words is asked again."""

    def holds():
        try:
            return condition()
        except HTTPError:
            return False

    wait_until(holds, timeout_s=PATIENCE_S)
