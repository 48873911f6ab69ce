"""The status page: read-only, escaped, from its own server only."""

from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from dicom_node.status_view import DeliveryRow, EventRow, SeriesRow
from dicom_node.web.app import create_app
from dicom_node.web.server import WebServer
from dicom_node.web.source import Health

#: The smallest PNG there is: one pixel.
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c489"
    "0000000d49444154789c6360000002000100ffff03000006000557bfabd40000000049454e44ae426082"
)

ROW = SeriesRow(
    series_instance_uid="1.2.3.4",
    study_instance_uid="1.2.3",
    state="delivered",
    reason="",
    series_state="chosen",
    job_state="delivered",
    outcome="hematoma_found",
    images=30,
    attempts=1,
    job_id=7,
    received_at="2026-01-02 03:04:05+00:00",
    finished_at="2026-01-02 03:04:15+00:00",
    volume_range_ml=(15.2, 32.4),
    compartments_ml={"intraventricular_hemorrhage": 2.0, "perihematomal_edema": 9.0},
    volume_ml=23.456,
    he_probability=0.714,
    he_label="HE",
    flags=("tilt_corrected",),
    door_to_result_s=12.34,
    deliveries=(
        DeliveryRow(
            kind="report",
            destination="pacs",
            state="accepted",
            attempts=1,
            reason="",
            next_attempt_at="",
        ),
    ),
    has_picture=True,
)


class FakeStatus:
    """Says what it was given."""

    def __init__(self, *, rows=(ROW,), faults=(), picture=None):
        self.series = rows
        self.faults = faults
        self.path = picture

    def rows(self):
        return self.series

    def row(self, series_instance_uid):
        return next((r for r in self.series if r.series_instance_uid == series_instance_uid), None)

    def timeline(self, series_instance_uid):
        text = f"complete: {series_instance_uid}"
        return [EventRow(at="2026-01-02 03:04:05+00:00", kind="queued", text=text)]

    def picture(self, job_id):
        return self.path if job_id == ROW.job_id else None

    def health(self):
        return Health(
            healthy=not self.faults,
            faults=tuple(self.faults),
            processes={"receiver": 1.0},
            free_space_mb=5000,
            jobs={"delivered": 1},
            deliveries={"accepted": 1},
            version="0.1",
        )


def client(**facts):
    return TestClient(create_app(FakeStatus(**facts), title="ICHNODE"))


def test_the_page_shows_state_opinion_and_times():
    """Everything a reader asks for stands in one row."""
    page = client().get("/").text

    for words in (
        "1.2.3.4",
        "delivered",
        "hematoma found",
        "23.5 mL (95 % range 15.2-32.4)",
        "intraventricular hemorrhage",
        "expansion predicted (0.71)",
        "tilt corrected",
        "12.3 s",
        "pacs: 1 of 1 accepted",
        "/pictures/7.png",
    ):
        assert words in page


@pytest.mark.parametrize("path", ["/", "/series/1.2.3.4"])
def test_what_is_urgent_is_marked_with_the_reason(path):
    """A routine study bears no such mark."""
    from dataclasses import replace

    marked = client(rows=(replace(ROW, urgency="it came from CT-ER"),)).get(path).text

    assert "it came from CT-ER" in marked
    assert "rgent" not in client().get(path).text


@pytest.mark.parametrize("path", ["/", "/series/1.2.3.4"])
def test_every_page_says_research_use_only(path):
    """Wherever a person can read a result."""
    assert "RESEARCH USE ONLY" in client().get(path).text


def test_nothing_that_was_received_becomes_markup():
    """A reason may quote what a sender wrote."""
    from dataclasses import replace

    row = replace(ROW, reason="<script>alert(1)</script>", series_instance_uid='1"><b>x')

    page = client(rows=(row,)).get("/").text

    assert "<script" not in page
    assert "<b>x" not in page
    assert "&lt;script&gt;" in page


def test_a_page_loads_nothing_from_elsewhere_and_runs_nothing():
    """Hospitals' networks are closed, and a browser is told so."""
    for path in ("/", "/series/1.2.3.4", "/health", "/style.css", "/nowhere"):
        answer = client().get(path)
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "script-src" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "http://" not in answer.text
        assert "https://" not in answer.text


def test_the_history_of_a_series_is_shown():
    """Each series has a page of its own."""
    page = client().get("/series/1.2.3.4").text

    assert "What happened" in page
    assert "queued" in page


def test_an_unknown_series_is_not_found():
    """No guess is made."""
    assert client().get("/series/9.9").status_code == 404


def test_the_result_picture_is_served(tmp_path: Path):
    """The picture that the analysis made."""
    picture = tmp_path / "summary.png"
    picture.write_bytes(PNG)

    answer = client(picture=picture).get("/pictures/7.png")

    assert answer.content == PNG
    assert answer.headers["content-type"] == "image/png"


@pytest.mark.parametrize("path", ["/pictures/8.png", "/pictures/..%2Fx.png", "/pictures/x.png"])
def test_only_pictures_of_analyses_are_served(path):
    """No other file can be asked for."""
    assert client().get(path).status_code in {404, 422}


@pytest.mark.parametrize("method", ["post", "put", "delete", "patch"])
def test_nothing_can_be_changed(method):
    """The page only reads."""
    assert getattr(client(), method)("/").status_code == 405


def test_health_is_for_machines():
    """A monitor reads the status code, a person the faults."""
    good = client().get("/ready")
    bad = client(faults=["worker has not been seen for 20 s"]).get("/ready")
    alive = client(faults=["worker has not been seen for 20 s"]).get("/health")

    assert (good.status_code, good.json()["ready"]) == (200, True)
    assert (bad.status_code, bad.json()["ready"]) == (503, False)
    assert bad.json()["reasons"] == ["worker has not been seen for 20 s"]
    assert (alive.status_code, alive.json()["alive"], alive.json()["healthy"]) == (
        200,
        True,
        False,
    )


def test_a_sick_node_says_so_on_the_page():
    """The operator sees it at once."""
    page = client(faults=["worker has not been seen for 20 s"]).get("/").text

    assert "needs attention" in page
    assert "worker has not been seen" in page


def test_the_server_takes_a_free_port_and_gives_it_back():
    """What the office starts it can stop."""
    import httpx

    server = WebServer(create_app(FakeStatus(), title="ICHNODE"), host="127.0.0.1", port=0)
    server.start()
    try:
        answer = httpx.get(f"http://127.0.0.1:{server.port}/health")
        port = server.port
    finally:
        server.stop()

    assert answer.status_code == 200
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://127.0.0.1:{port}/health")
