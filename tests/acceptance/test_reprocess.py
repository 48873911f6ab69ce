"""An archive is read again by the node's own processes, which are killed in the middle."""

import json
import sqlite3
from contextlib import closing

import pytest
from acceptance.node_process import NodeProcess, wait_until
from ct_builder import POISON_NAME, Ball, build_ct_series, save_series
from query_provider import QueryProvider

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(600)]

STUDIES = [f"1.2.826.0.1.3680043.8.498.77{number}" for number in range(4)]


def head(number):
    images = build_ct_series(
        slices=12,
        shape_yx=(64, 64),
        balls=(Ball(radius_mm=15.0),),
        seed=number,
        patient_id=f"POISON-{number}",
        study_uid=STUDIES[number],
    )
    for image in images:
        image.StudyDate, image.StudyTime = f"2026010{1 + number // 2}", "101500"
        image.AccessionNumber, image.StudyDescription = f"A{number}", "Head"
    return images


def run_of(node, number):
    """Return state and units of a run, straight from the ledger; None before there is one."""
    ledger = f"file:{node.folder}/data/ledger.sqlite?mode=ro"
    with closing(sqlite3.connect(ledger, uri=True)) as db:
        asked = "SELECT state, units_done FROM reprocess_runs WHERE run_id = ?"
        return db.execute(asked, (number,)).fetchone()


def begin(node, *words):
    done = node.run("reprocess", "start", *words)
    assert done.returncode == 0, done.stdout + done.stderr


def test_an_archive_is_read_again_although_the_office_is_killed(tmp_path):
    """Two days of a PACS by C-GET, then a folder: every study once, kept, in the report."""
    images = [image for number in (0, 2) for image in head(number)]
    with QueryProvider(images).listening() as port:
        node = NodeProcess(tmp_path, pacs_port=port)
        node.start()
        try:
            days = ("--since", "2026-01-01", "--until", "2026-01-02")
            begin(node, "--from", "pacs", "--by", "get", *days)
            wait_until(lambda: run_of(node, 1)[1])
            node.kill_role("office")
            wait_until(lambda: run_of(node, 1)[0] == "finished")
            save_series(head(2), tmp_path / "archive" / "a" / "b")
            begin(node, "--folder", str(tmp_path / "archive"))
            wait_until(lambda: run_of(node, 2)[0] == "finished")
            shown = json.loads(node.run("reprocess", "show", "1", "--json").stdout)
            report = node.run("reprocess", "report", "2").stdout
            series = json.loads(node.run("studies", "show", STUDIES[2], "--json").stdout)
        finally:
            node.stop()

    assert (shown["studies"]["analysed"], shown["units_done"]) == (2, 2)
    assert report.splitlines()[1].startswith(f"{STUDIES[2]},analysed,,")
    events = [event["kind"] for one in series["series"] for event in one["timeline"]]
    assert (events.count("results"), events.count("accepted")) == (2, 0)
    for secret in ("POISON", POISON_NAME):
        assert secret not in report + node.log.read_text()
