"""What the settings say arrives at the parts."""

import pytest

from dicom_node.bootstrap import parts
from dicom_node.bootstrap.layout import DataLayout
from dicom_node.intake.default_rules import DEFAULT_RULES
from dicom_node.settings.file import parse_settings
from dicom_node.settings.schema import Settings
from pipeline.errors import ModelBundleError


def settings_of(**tables):
    return parse_settings(tables, source="node.toml", environment={})


def test_only_listed_callers_get_in():
    """The list becomes the receiver's."""
    settings = settings_of(node={"callers": ["CT1", "CT2"]})

    assert [one.ae_title for one in parts.scp_settings(settings).callers] == ["CT1", "CT2"]


def test_a_growth_model_is_loaded_only_if_it_is_named_and_wanted(tmp_path):
    """No name, or a site that wants no forecast: no model, and results as without one."""
    bundle = str(tmp_path / "growth")

    assert parts.growth_bundle(Settings()) is None
    named = settings_of(worker={"growth_bundle": bundle})
    assert parts.growth_bundle(named) == tmp_path / "growth"
    unwanted = settings_of(worker={"growth_bundle": bundle}, results={"forecast": False})
    assert parts.growth_bundle(unwanted) is None


def test_a_star_lets_everybody_in():
    """An open door is asked for by name."""
    settings = settings_of(node={"callers": ["CT1", "*"]})

    assert None in [one.ae_title for one in parts.scp_settings(settings).callers]


def test_a_peer_is_called_by_its_own_values():
    """Every time-out of a peer is used; the node introduces itself by its title."""
    settings = settings_of(
        node={"ae_title": "STROKE"},
        peers=[
            {
                "name": "pacs",
                "ae_title": "PACS",
                "host": "10.0.0.7",
                "port": 104,
                "receives_results": True,
                "connect_timeout_s": 1,
                "association_timeout_s": 2,
                "response_timeout_s": 3,
            }
        ],
    )

    peer = parts.destinations(settings)["pacs"]

    assert (peer.ae_title, peer.host, peer.port) == ("PACS", "10.0.0.7", 104)
    assert peer.calling_ae_title == "STROKE"
    assert (peer.connect_timeout_s, peer.acse_timeout_s, peer.dimse_timeout_s) == (1, 2, 3)


def test_a_peer_must_be_let_in_to_report_storage_commitment():
    """By its title, and not for C-STORE alone."""
    pacs = {"name": "pacs", "ae_title": "PACS", "host": "10.0.0.7", "port": 104}
    answers = []
    for callers in (["OTHER"], ["PACS"], ["*"], [{"ae_title": "PACS", "may": ["store"]}]):
        settings = settings_of(node={"callers": callers}, peers=[pacs])
        answers.append(parts.may_report(settings, settings.peers[0]))

    assert answers == [False, True, True, False]


def test_rules_that_are_not_given_are_the_nodes_own():
    """Leaving a list out is not the same as leaving it empty."""
    assert parts.selection_rules(Settings()).exclude == DEFAULT_RULES.exclude
    assert parts.selection_rules(settings_of(selection={"exclude": []})).exclude == ()


def test_rules_that_are_given_replace_the_nodes_own():
    """Attribute, pattern and points arrive."""
    rules = parts.selection_rules(
        settings_of(
            selection={
                "include": [{"attribute": "station", "pattern": "CT1"}],
                "prefer": [{"attribute": "kernel", "pattern": "H30", "points": -7}],
            }
        )
    )

    (include,), (prefer,) = rules.include, rules.prefer
    assert (include.attribute.value, include.pattern) == ("station", "CT1")
    assert (prefer.rule.attribute.value, prefer.rule.pattern, prefer.points) == (
        "kernel",
        "H30",
        -7,
    )


def test_megabytes_become_bytes():
    """1024 MB are 2 to the 30 bytes."""
    settings = settings_of(node={"free_space_floor_mb": 1024})

    assert parts.spool_limits(settings).free_floor_bytes == 2**30


def test_times_and_attempts_arrive():
    """Each with a value that nothing else has."""
    settings = settings_of(
        assembly={
            "quiet_time_s": 11,
            "force_time_s": 12,
            "study_quiet_time_s": 13,
            "study_limit_s": 14,
        },
        worker={
            "lease_s": 21,
            "time_limit_s": 22,
            "attempts": 4,
            "first_retry_s": 23,
            "longest_wait_s": 24,
        },
        delivery={
            "attempts": 31,
            "first_retry_s": 32,
            "longest_wait_s": 33,
            "refusal_attempts": 6,
            "refusal_first_retry_s": 30,
        },
    )

    assembly = parts.assembly_rules(settings)
    job = parts.job_rules(settings)
    delivery = parts.delivery_rules(settings)

    assert (assembly.quiet_s, assembly.force_s) == (11, 12)
    assert (assembly.study_quiet_s, assembly.study_limit_s) == (13, 14)
    assert (job.lease_s, job.time_limit_s) == (21, 22)
    assert (job.retry.max_attempts, job.retry.first_delay_s, job.retry.cap_s) == (4, 23, 24)
    assert (delivery.network.max_attempts, delivery.network.first_delay_s) == (31, 32)
    assert (delivery.network.cap_s, delivery.refusal.cap_s) == (33, 33)
    assert (delivery.refusal.max_attempts, delivery.refusal.first_delay_s) == (6, 30)


def test_a_bundle_is_a_name_or_a_path(tmp_path):
    """What looks like a path is one."""
    assert parts.bundle_path(str(tmp_path)) == tmp_path
    with pytest.raises(ModelBundleError, match="nonsense"):
        parts.bundle_path("nonsense")


def test_the_data_directory_is_for_the_node_alone(tmp_path):
    """Patients' images are nobody else's business."""
    layout = DataLayout(root=tmp_path / "data")

    layout.prepare()

    for folder in (layout.root, layout.spool, layout.outbox, layout.summaries):
        assert folder.stat().st_mode & 0o077 == 0
