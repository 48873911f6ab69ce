"""The shipped dashboard asks for metrics that there are, by labels that they have."""

import json
import re
from pathlib import Path

import pytest
from observe_builder import SNAPSHOT
from prometheus_client.parser import text_string_to_metric_families

from dicom_node.observe.metrics import exposition

DASHBOARD = Path(__file__).parents[3] / "deploy" / "grafana" / "ichnode.json"


def labels_of_metrics():
    """Return the labels of each sample name that the node writes."""
    text = exposition(SNAPSHOT).decode()
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


def panels():
    document = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    return [panel for panel in document["panels"] if panel["type"] != "row"]


@pytest.mark.parametrize("panel", panels(), ids=lambda panel: panel["title"])
def test_every_metric_that_is_asked_for_exists(panel):
    """Names and labels, in queries and legends; `instance` comes from Prometheus itself."""
    known = labels_of_metrics()

    for target in panel["targets"]:
        names = re.findall(r"ichnode_\w+", target["expr"])
        assert names
        for name in names:
            assert name in known
        labels = {label for name in names for label in known[name]} | {"instance", "le"}
        grouped = re.findall(r"by \(([^)]*)\)", target["expr"])
        assert {word.strip() for group in grouped for word in group.split(",")} <= labels
        assert set(re.findall(r"{{(\w+)}}", target["legendFormat"])) <= labels


def test_every_metric_is_on_the_dashboard():
    """What is worth writing is worth showing; `_created` and the parts of a summary aside."""
    asked = set(re.findall(r"ichnode_\w+", DASHBOARD.read_text(encoding="utf-8")))

    assert {name for name in labels_of_metrics() if not name.endswith("_created")} <= asked
