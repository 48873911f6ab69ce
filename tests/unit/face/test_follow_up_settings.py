"""From ``[follow_up]`` and the peers to what is planned and searched."""

from datetime import timedelta

import pytest
from node_builders import Clock, opened_ledger

from dicom_node.bootstrap.follow_up import planning_rules, prior_seeker
from dicom_node.bootstrap.layout import DataLayout
from dicom_node.settings.file import SettingsError, parse_settings
from dicom_node.settings.schema import PriorsBy


def settings_of(**tables):
    return parse_settings(tables, source="node.toml", environment={})


def peer(name, **more):
    return {"name": name, "ae_title": name.upper(), "host": "127.0.0.1", "port": 104, **more}


def test_without_a_word_scans_are_compared_and_nobody_is_searched():
    """Three days and an hour are the defaults; a PACS is asked only if the site says so."""
    plans = planning_rules(settings_of(peers=[peer("pacs", receives_results=True)]))

    assert plans.pairing.window == timedelta(hours=72)
    assert plans.pairing.minimum_interval == timedelta(hours=1)
    assert plans.prior_peers == ()
    assert plans.with_shadow is False


def test_peers_that_give_priors_are_searched():
    """Whether they receive results or not."""
    settings = settings_of(
        peers=[peer("a", gives_priors="move"), peer("b"), peer("c", gives_priors="get")]
    )

    assert planning_rules(settings).prior_peers == ("a", "c")
    assert [one.gives_priors for one in settings.prior_sources] == [PriorsBy.MOVE, PriorsBy.GET]


@pytest.mark.parametrize("switch", ["enabled", "search_priors"])
def test_a_site_may_switch_it_off(switch):
    """Without comparisons there is nothing to search for; without searches there may be both."""
    settings = settings_of(peers=[peer("a", gives_priors="move")], follow_up={switch: False})

    plans = planning_rules(settings)

    assert plans.prior_peers == ()
    assert (plans.pairing is None) == (switch == "enabled")


def test_models_on_trial_make_a_shadow():
    """One of the two is enough."""
    assert planning_rules(settings_of(worker={"shadow_classification_bundle": "x"})).with_shadow


def test_what_contradicts_is_named():
    """A window shorter than the shortest interval would pair nothing."""
    with pytest.raises(SettingsError) as refused:
        settings_of(
            follow_up={"window_h": 2.0, "minimum_interval_h": 3.0},
            peers=[peer("a", gives_priors="mail")],
        )

    assert "follow_up.window_h" in str(refused.value)
    assert "peers[1].gives_priors" in str(refused.value)


def test_a_node_without_such_peers_searches_nothing(tmp_path):
    """It starts and stops without a thread."""
    layout = DataLayout(root=tmp_path)
    layout.prepare()
    with opened_ledger(layout.ledger) as ledger:
        settings = settings_of(node={"data_dir": str(tmp_path)})
        seeker = prior_seeker(settings, ledger=ledger, clock=Clock())
        seeker.start()
        seeker.stop()
