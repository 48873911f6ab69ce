"""Which comparison is the outcome of which prediction, and why others are none."""

import dataclasses
from datetime import timedelta

import pytest
from watch_builder import analysis, analysis_facts, comparison, comparison_facts

from dicom_node.watch.model_version import version_of
from dicom_node.watch.outcomes import EXCLUSION_WORDS, Exclusion, follow
from dicom_node.watch.rules import WatchRules

RULES = WatchRules()


def only(comparisons, rules=RULES):
    """Return the pairs of the only model version."""
    (found,) = follow(comparisons, rules).values()
    return found


def test_a_comparison_in_time_is_an_outcome():
    """What was predicted stands beside what was measured."""
    baseline = analysis(1, analysis_facts(0.7))

    (found,) = only([comparison(9, baseline, comparison_facts(expanded=True))]).outcomes

    assert (found.probability, found.expanded, found.elapsed_h) == (0.7, True, 24.0)
    assert found.calls == {"card": True}
    assert found.predicted_ahead


@pytest.mark.parametrize(
    ("baseline", "facts", "reason"),
    [
        (analysis_facts(None), comparison_facts(), Exclusion.NO_OPINION),
        (
            analysis_facts(),
            comparison_facts(status="refused", expanded=None),
            Exclusion.REFUSED,
        ),
        (
            analysis_facts(),
            comparison_facts(status="no_verdict", expanded=None),
            Exclusion.NO_VERDICT,
        ),
        (analysis_facts(), comparison_facts(elapsed_h=None), Exclusion.NO_INTERVAL),
        (analysis_facts(), comparison_facts(elapsed_h=5.9), Exclusion.TOO_EARLY),
        (analysis_facts(), comparison_facts(elapsed_h=72.1), Exclusion.TOO_LATE),
    ],
)
def test_what_cannot_judge_is_left_out_and_counted(baseline, facts, reason):
    """Each reason alone excludes a comparison."""
    found = only([comparison(9, analysis(1, baseline), facts)])

    assert found.outcomes == ()
    assert found.excluded == {reason: 1}


def test_a_patient_counts_once_with_the_first_follow_up_in_time():
    """At 3 h it is too early, at 12 h it counts, at 40 h it is a further scan."""
    baseline = analysis(1, patient="p")
    scans = [
        comparison(11, baseline, comparison_facts(elapsed_h=40.0, expanded=True)),
        comparison(12, baseline, comparison_facts(elapsed_h=3.0, expanded=True)),
        comparison(13, baseline, comparison_facts(elapsed_h=12.0, expanded=False)),
    ]

    found = only(scans)

    assert [(one.comparison_job_id, one.expanded) for one in found.outcomes] == [(13, False)]
    assert found.excluded == {Exclusion.TOO_EARLY: 1, Exclusion.LATER_SCAN: 1}


def test_the_first_hemorrhage_of_a_patient_counts():
    """A second one months later is no independent case, whichever was analysed first."""
    first = analysis(7, patient="p", acquired_h=0)
    second = analysis(3, patient="p", acquired_h=2000)

    found = only([comparison(20, second), comparison(21, first)])

    assert [one.baseline_job_id for one in found.outcomes] == [7]
    assert found.excluded == {Exclusion.LATER_SCAN: 1}


def test_models_are_never_counted_together():
    """Another digest of the weights is another version."""
    old = analysis(1, analysis_facts(classifier="c"))
    new = analysis(2, analysis_facts(classifier="e"))

    found = follow([comparison(8, old), comparison(9, new)], RULES)

    assert set(found) == {version_of(old.record), version_of(new.record)}
    assert all(len(one.outcomes) == 1 for one in found.values())


def test_a_prediction_made_afterwards_is_not_called_a_forecast():
    """A baseline that was fetched with the follow-up was analysed when the outcome was there."""
    pair = comparison(9, analysis(1))
    late = dataclasses.replace(
        pair, follow_up_received_at=pair.baseline.finished_at - timedelta(seconds=1)
    )

    (found,) = only([late]).outcomes

    assert not found.predicted_ahead


def test_without_keys_every_series_is_a_patient():
    """A ledger of an earlier version knows no patients; two series are two."""
    scans = [comparison(10 + number, analysis(number, patient="")) for number in (1, 2)]

    assert len(only(scans).outcomes) == 2


def test_every_exclusion_has_words():
    """Whatever is counted is explained."""
    assert set(EXCLUSION_WORDS) == set(Exclusion)


@pytest.mark.parametrize(
    "limits", [{"earliest_h": 80.0}, {"minimum": 300}, {"minimum": 0}, {"earliest_h": -1.0}]
)
def test_impossible_rules_are_refused(limits):
    """A horizon that ends before it begins, more needed than looked at."""
    with pytest.raises(ValueError, match="needed"):
        WatchRules(**limits)
