"""An archive is read again by the node's own processes, which are killed in the middle."""

import json

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


def shown(node, *words):
    done = node.run("reprocess", "show", *words, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_an_archive_is_read_again_although_the_node_is_killed(tmp_path):
    """Two days of a PACS by C-GET, then a folder: every study once, kept, in the report."""
    images = [image for number in range(3) for image in head(number)]
    with QueryProvider(images).listening() as port:
        node = NodeProcess(tmp_path, pacs_port=port)
        node.start()
        try:
            done = node.run(
                "reprocess", "start", "--from", "pacs", "--by", "get",
                "--since", "2026-01-01", "--until", "2026-01-02",
            )  # fmt: skip
            assert done.returncode == 0, done.stdout + done.stderr
            wait_until(
                lambda: shown(node)["studies"]["queued"] or shown(node)["studies"]["analysed"]
            )
            node.kill()
            node.start()
            first = wait_until(lambda: (facts := shown(node))["state"] == "finished" and facts)
            save_series(head(3), tmp_path / "archive" / "a" / "b")
            save_series(head(2), tmp_path / "archive" / "c")
            done = node.run("reprocess", "start", "--folder", str(tmp_path / "archive"))
            assert done.returncode == 0, done.stdout + done.stderr
            second = wait_until(lambda: (facts := shown(node))["state"] == "finished" and facts)
            report = node.run("reprocess", "report", "1").stdout
            series = json.loads(node.run("studies", "show", STUDIES[0], "--json").stdout)
        finally:
            node.stop()

    assert (first["run"], first["studies"]["analysed"], first["units_done"]) == (1, 3, 2)
    assert (second["run"], second["studies"]["analysed"]) == (2, 2)
    assert report.count(",analysed,,") == 3
    (one,) = series["series"]
    assert [event["kind"] for event in one["timeline"]].count("results") == 1
    assert "accepted" not in {event["kind"] for event in one["timeline"]}
    for secret in ("POISON", POISON_NAME):
        assert secret not in report + node.log.read_text()
