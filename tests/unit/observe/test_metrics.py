"""Metrics as Prometheus reads them: checked with the parser of its own client."""

from dataclasses import replace

import pytest
from node_builders import Clock, arrive, opened_ledger, small_series, stored_objects
from observe_builder import NOON, SNAPSHOT
from prometheus_client.parser import text_string_to_metric_families
from site_builder import Site, scan

from dicom_node.bootstrap.metrics import NodeMetrics
from dicom_node.jobs.depth import depth
from dicom_node.observe.metrics import exposition
from dicom_node.settings.schema import NodeSettings, Settings


def samples(text):
    """Return the value of each sample by its name and labels."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


@pytest.mark.parametrize(
    ("name", "labels", "value"),
    [
        ("ichnode_associations_total", {"outcome": "accepted", "reason": ""}, 5),
        ("ichnode_delivery_attempts_total", {"destination": "pacs", "outcome": "refused"}, 2),
        ("ichnode_step_seconds_sum", {"kind": "analysis", "step": "s"}, 8.5),
        ("ichnode_step_seconds_count", {"kind": "analysis", "step": "s"}, 4),
        ("ichnode_series", {"state": "receiving"}, 2),
        ("ichnode_series", {"state": "chosen"}, 0),
        ("ichnode_jobs", {"kind": "shadow", "state": "queued"}, 7),
        ("ichnode_deliveries", {"destination": "pacs", "state": "pending"}, 6),
        ("ichnode_oldest_queued_seconds", {}, 12.5),
        ("ichnode_urgent_waiting", {"what": "jobs"}, 3),
        ("ichnode_last_image_timestamp_seconds", {"caller": "CT1"}, 1767614400),
        ("ichnode_destination_out_of_reach", {"destination": "pacs"}, 1),
        ("ichnode_destination_held", {"destination": "pacs"}, 0),
        ("ichnode_disk_used_bytes", {}, 700),
        ("ichnode_gpu_memory_used_bytes", {"gpu": "0"}, 5),
        ("ichnode_certificate_days", {"certificate": "node.pem: CN=node"}, 12),
        ("ichnode_watch_alarm", {"alarm": "drift"}, 1),
        ("ichnode_ready", {}, 0),
        ("ichnode_version_info", {"version": "1.2"}, 1),
    ],
)
def test_every_number_of_the_node_is_a_sample(name, labels, value):
    """Named as Prometheus asks: counters end in _total, units are seconds and bytes."""
    assert samples(exposition(SNAPSHOT))[name, tuple(sorted(labels.items()))] == value


def test_the_buckets_of_door_to_result_are_cumulative():
    """Three results within 30 s, one after more than a day; four in all."""
    found = samples(exposition(SNAPSHOT))

    def bucket(bound):
        (value,) = (
            value
            for (name, labels), value in found.items()
            if name == "ichnode_door_to_result_seconds_bucket"
            and float(dict(labels)["le"]) == bound
        )
        return value

    assert [bucket(bound) for bound in (20, 30, 86400, float("inf"))] == [0, 3, 3, 4]
    assert found["ichnode_door_to_result_seconds_count", ()] == 4
    assert found["ichnode_door_to_result_seconds_sum", ()] == 90100.5


def test_a_label_cannot_break_out_of_its_line():
    """An AE title may hold quotes; a line break cannot, but is escaped all the same."""
    hostile = 'CT"} 1\nichnode_ready 1\n'
    strange = replace(SNAPSHOT.depth, last_image_at={hostile: NOON})

    found = samples(exposition(replace(SNAPSHOT, depth=strange)))

    assert found["ichnode_ready", ()] == 0
    assert ("ichnode_last_image_timestamp_seconds", (("caller", hostile),)) in found


def test_the_ledger_is_what_the_metrics_say(tmp_path):
    """Twelve images came over one association; no job waits yet."""
    clock = Clock()
    with opened_ledger(tmp_path / "ledger.sqlite") as ledger:
        arrive(ledger, small_series(slices=12), clock)
        metrics = NodeMetrics(
            ledger,
            settings=Settings(node=NodeSettings(data_dir=tmp_path)),
            clock=clock,
            ask_gpu=lambda: (),
        )

        found = samples(metrics.exposition())

    assert found["ichnode_instances_received_total", (("outcome", "stored"),)] == 12
    assert found["ichnode_series", (("state", "receiving"),)] == 1
    assert found["ichnode_disk_free_bytes", ()] > 0
    assert found["ichnode_watch_alarm", (("alarm", "auc_low"),)] == 0


def test_the_depth_says_when_each_caller_sent_its_last_image(tmp_path):
    """The silence alarm and the dashboard rest on it."""
    clock = Clock()
    with opened_ledger(tmp_path / "ledger.sqlite") as ledger:
        clock.turn(60)
        arrive(ledger, small_series(slices=3), clock)

        found = depth(ledger.database, clock())

    assert found.last_image_at == {"MODALITY": clock()}
    assert found.oldest_queued_s == 0


def test_the_depth_tells_what_urgent_studies_wait_for(tmp_path):
    """Two studies wait for a worker, one of them is urgent; then for the destination."""
    clock = Clock()
    with opened_ledger(tmp_path / "ledger.sqlite") as ledger:
        site = Site(ledger, clock)
        site.send(scan(1))
        site.send(scan(2))
        before = depth(ledger.database, clock()).urgent
        ledger.urgent_lane.hurry("1.2.2", clock())

        queued = depth(ledger.database, clock()).urgent
        clock.turn(60)
        ledger.jobs.complete(
            site.claim(),
            stored_objects("1"),
            model_digest="m",
            configuration_digest="c",
            destinations=("pacs",),
            record={},
            now=clock(),
        )
        analysed = depth(ledger.database, clock()).urgent

    assert before == {"series": 0, "jobs": 0, "deliveries": 0}
    assert queued == {"series": 0, "jobs": 1, "deliveries": 0}
    assert analysed == {"series": 0, "jobs": 0, "deliveries": len(stored_objects("1"))}
