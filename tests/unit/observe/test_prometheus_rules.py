"""The shipped alert rules ask for metrics that there are, by labels and values that they have.

`promtool check rules deploy/prometheus/ichnode.rules.yml` checks the syntax of the expressions; it
is no Python package, so that it is not run here.
"""

import re
from pathlib import Path

import pytest
import yaml
from observe_builder import SNAPSHOT
from prometheus_client.parser import text_string_to_metric_families

from dicom_node.jobs.state import DeliveryState
from dicom_node.observe.metrics import exposition

RULES = Path(__file__).parents[3] / "deploy" / "prometheus" / "ichnode.rules.yml"

#: What Prometheus itself adds.
OF_PROMETHEUS = {"instance", "job"}

#: Values that the node writes, by metric and label.
VALUES = {
    ("ichnode_deliveries", "state"): {state.value for state in DeliveryState},
    ("ichnode_urgent_waiting", "what"): {"series", "jobs", "deliveries"},
    ("ichnode_job_attempts_total", "outcome"): {"results", "rejected", "failed"},
    ("ichnode_associations_total", "outcome"): {"accepted", "refused"},
    ("up", "job"): {"ichnode"},
}


def rules():
    (group,) = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    return group["rules"]


def labels_of_metrics():
    found = {"up": set()}
    for family in text_string_to_metric_families(exposition(SNAPSHOT).decode()):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_a_rule_asks_for_what_there_is(rule):
    """Metrics, labels in matchers and groups, values, and labels in the words."""
    known = labels_of_metrics()
    expression = rule["expr"]
    names = set(re.findall(r"\b(?:ichnode_\w+|up)\b", expression))

    assert names
    assert names <= known.keys()
    labels = set().union(*(known[name] for name in names)) | OF_PROMETHEUS
    grouped = re.findall(r"by \(([^)]*)\)", expression)
    for group in grouped:
        assert {word.strip() for word in group.split(",")} <= labels
    for name, matchers in re.findall(r"(\w+)\{([^}]*)\}", expression):
        for label, value in re.findall(r'(\w+)="([^"]*)"', matchers):
            assert value in VALUES[name, label]
    shown = set(re.findall(r"\$labels\.(\w+)", str(rule["annotations"])))
    kept = {word.strip() for group in grouped for word in group.split(",")} or labels
    assert shown <= kept


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_a_rule_is_complete(rule):
    """A name, an expression with a limit, a severity and words for people; brackets match."""
    expression = rule["expr"]

    assert re.fullmatch(r"Ichnode[A-Z]\w+", rule["alert"])
    assert re.search(r"(==|<|>) [\d.]+$", expression)
    for opening, closing in ("()", "[]", "{}"):
        assert expression.count(opening) == expression.count(closing)
    assert rule["labels"]["severity"] in {"critical", "warning"}
    assert set(rule["annotations"]) == {"summary", "description"}
    assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
    assert re.fullmatch(r"\d+[smh]", rule.get("for", "1s"))


def test_no_two_rules_have_one_name():
    """Alertmanager would take them for one."""
    names = [rule["alert"] for rule in rules()]

    assert len(set(names)) == len(names)


def test_what_the_node_must_be_watched_for_is_watched():
    """Queue, leases, time to result, steps, delivery, disk, GPU, certificates, silence."""
    asked = set(re.findall(r"ichnode_\w+", " ".join(rule["expr"] for rule in rules())))

    assert {
        *("ichnode_oldest_queued_seconds", "ichnode_urgent_waiting", "ichnode_lost_leases_total"),
        *("ichnode_door_to_result_seconds_bucket", "ichnode_step_seconds_sum"),
        *("ichnode_deliveries", "ichnode_disk_free_bytes", "ichnode_gpu_memory_used_bytes"),
        *("ichnode_certificate_days", "ichnode_last_image_timestamp_seconds"),
        *("ichnode_associations_total", "ichnode_audit_waiting", "ichnode_ready"),
    } <= asked
