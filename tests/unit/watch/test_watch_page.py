"""The page of the watch: read-only, escaped, drawn without scripts; command and log beside it."""

import json
import logging
import re
from dataclasses import replace

import numpy as np
import pytest
from fastapi.testclient import TestClient
from watch_builder import BEGIN, analysis, analysis_facts, pairs, shadow
from web_builder import prepare, web_node

from dicom_node.jobs.alarm_memory import AlarmMemory
from dicom_node.jobs.pairs import WatchedJobs
from dicom_node.watch.figure import draw_watch
from dicom_node.watch.history import drift_history
from dicom_node.watch.report import watch
from dicom_node.watch.rules import WatchRules
from dicom_node.watch.view import alarm_sentences
from dicom_node.watch.watched import Watched
from dicom_node.web.app import create_app

RULES = WatchRules(minimum=20, window=60)


class FakeWatch:
    """Says what it was given."""

    def __init__(self, watched):
        self.watched = watched

    def look(self):
        return self.watched

    def standing(self):
        return alarm_sentences(self.watched.report)


def watched_of(jobs, rules=RULES):
    """Return the watch of some jobs."""
    report = watch(jobs, rules, statistics={})
    return Watched(report=report, history=drift_history(jobs.analyses, rules, statistics=()))


def busy_site(*, name="seg", shift=1.0):
    """Return a site with 80 outcomes, 160 scans and a model on trial."""
    rng = np.random.default_rng(0)
    told = rng.uniform(0.1, 0.7, 80)
    known = pairs(told.tolist(), (rng.random(80) < told).tolist())
    later = [
        analysis(
            200 + number,
            analysis_facts(
                float(rng.uniform(0.1, 0.7)), volume_ml=float(rng.lognormal(3, 0.5)) * shift
            ),
        )
        for number in range(80)
    ]
    analyses = [*(one.baseline for one in known), *later]
    for one in analyses:
        one.record["model"]["segmentation"]["name"] = name
    return WatchedJobs(
        analyses=tuple(analyses),
        comparisons=tuple(known),
        shadows=(shadow(known[0].baseline, 0.3),),
    )


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    """Return a node whose watch can be exchanged."""
    folder = tmp_path_factory.mktemp("watched")
    prepare(folder)
    with web_node(folder, open_on_loopback=True) as node:
        yield node


def client_of(node, watched):
    """Return a browser of this machine."""
    source = None if watched is None else FakeWatch(watched)
    app = create_app(replace(node.pages.sources, watch=source))
    return TestClient(app, client=("127.0.0.1", 1), base_url="http://127.0.0.1:8180")


def page_of(node, watched):
    """Return what a browser gets."""
    return client_of(node, watched).get("/watch")


def test_the_page_shows_scores_drift_and_drawings(node):
    """Everything that is asked for stands on it, with intervals."""
    page = page_of(node, watched_of(busy_site()))

    assert page.status_code == 200
    for words in (
        "RESEARCH USE ONLY",
        "sensitivity at the card&#39;s threshold",
        "95 % CI",
        "calibration slope",
        "Drift in the last 60 analyses",
        "On trial",
        "not read by a person",
    ):
        assert words in page.text
    assert page.text.count("<svg") == 3


def test_nothing_on_the_page_runs_or_is_loaded_from_elsewhere(node):
    """No script, no inline style, no foreign address; the policy forbids them anyway."""
    page = page_of(node, watched_of(busy_site()))

    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert not re.search(r"<script>| style=|http:|https:|javascript:", page.text)


def test_what_a_card_or_header_says_is_text(node):
    """A model's name with markup is shown as it is written; so is a maker's."""
    jobs = busy_site(name="<script>alert(1)</script>")
    for one in jobs.analyses:
        one.record["scan"]["manufacturer"] = "<img src=x onerror=alert(1)>"

    text = page_of(node, watched_of(jobs)).text

    assert "<script>alert" not in text
    assert "<img" not in text.lower()
    assert "&lt;script&gt;" in text
    assert "&lt;IMG" in text


def test_an_alarm_stands_on_both_pages(node):
    """The page of the watch judges anew, the first page says what was last seen."""
    watched = watched_of(busy_site(shift=20.0))
    client = client_of(node, watched)
    AlarmMemory(node.ledger.database).exchange(one.value for one in watched.report.alarms)

    for path in ("/watch", "/"):
        assert "The volumes of hematomas have drifted" in client.get(path).text


def test_an_empty_node_has_an_empty_page(node):
    """Nothing was analysed; nothing is drawn."""
    page = page_of(node, watched_of(WatchedJobs()))

    assert "Nothing has been analysed yet." in page.text
    assert "<svg" not in page.text


def test_programs_get_json(node):
    """The same as `ichnode watch --json`."""
    answer = client_of(node, watched_of(busy_site())).get("/watch.json").json()

    assert answer["versions"][0]["pairs"] == 80
    assert json.dumps(answer).count("patient-") == 0


def test_without_a_watch_there_is_no_page(node):
    """Whoever shows the status alone offers no link that leads nowhere."""
    client = client_of(node, None)

    assert client.get("/watch").status_code == 404
    assert "/watch" not in client.get("/").text


@pytest.mark.parametrize("jobs", [WatchedJobs(), busy_site()], ids=["empty", "busy"])
def test_the_picture_is_a_png(tmp_path, jobs):
    """ROC curve, reliability and drift; an empty node has a picture that says so."""
    draw_watch(tmp_path / "watch.png", watched_of(jobs))

    assert (tmp_path / "watch.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_drift_over_time_ends_with_the_present():
    """The last point of the history is what the report says."""
    jobs = busy_site()
    watched = watched_of(jobs)

    for one in watched.report.drifts:
        points = watched.history[one.what]
        assert (points[-1].psi if points else None) == (one.shift.psi if one.shift else None)
        assert list(points) == sorted(points, key=lambda point: point.at)
        assert all(point.at > BEGIN for point in points)


def test_each_change_is_logged_once(tmp_path, caplog):
    """An alarm that comes is a warning, one that goes a word; what stays is silent."""
    from dicom_node.jobs.database import Database

    database = Database(tmp_path / "ledger.sqlite")
    memory = AlarmMemory(database)

    with caplog.at_level(logging.INFO):
        assert memory.exchange(["auc_low"]) == set()
        assert memory.exchange(["auc_low", "kernel_drift"]) == {"auc_low"}
        assert memory.standing() == {"auc_low", "kernel_drift"}
        assert AlarmMemory(database).exchange([]) == {"auc_low", "kernel_drift"}
        assert memory.standing() == set()
    database.close()
