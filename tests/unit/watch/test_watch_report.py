"""The whole report: versions, alarms, models on trial, and what is never in it."""

import json

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from watch_builder import analysis, analysis_facts, comparison, comparison_facts, pairs, shadow

from dicom_node.jobs.pairs import WatchedJobs
from dicom_node.watch.alarms import Alarm
from dicom_node.watch.record import watch_record
from dicom_node.watch.report import watch
from dicom_node.watch.rules import WatchRules

RULES = WatchRules()


def jobs_of(comparisons, *, others=(), shadows=()):
    """Return the jobs of a ledger in which every comparison's baseline was analysed."""
    analyses = sorted(
        [*(one.baseline for one in comparisons), *others], key=lambda one: one.job_id
    )
    return WatchedJobs(
        analyses=tuple(analyses), comparisons=tuple(comparisons), shadows=tuple(shadows)
    )


def report_of(comparisons, **more):
    """Return the report without training statistics."""
    return watch(jobs_of(comparisons, **more), RULES, statistics={})


def chances(count, *, seed, scale=1.0):
    """Return probabilities and outcomes that come as often as promised, times a factor."""
    rng = np.random.default_rng(seed)
    told = rng.uniform(0.05, 0.6, size=count)
    return told.tolist(), (rng.random(count) < told * scale).tolist()


def test_an_empty_ledger_has_an_empty_report():
    """Nothing is analysed, nothing is said, nothing is alarmed."""
    report = watch(WatchedJobs(), RULES, statistics={})

    assert (report.versions, report.drifts, report.alarms) == ((), (), ())


def test_believable_predictions_raise_no_alarm():
    """What comes as often as promised is calibrated."""
    report = report_of(pairs(*chances(300, seed=1)))

    assert report.alarms == ()
    assert report.versions[0].performance.calibration is not None


def test_promises_twice_too_high_raise_the_alarm_of_calibration():
    """Half as many expansions as promised, in 300 patients."""
    report = report_of(pairs(*chances(300, seed=2, scale=0.4)))

    assert report.alarms == (Alarm.CALIBRATION_OFF,)


def test_predictions_without_worth_raise_the_alarm_of_the_auc():
    """The ranking is turned round while mean and share still agree."""
    told, truth = chances(300, seed=3)
    rate = float(np.mean(truth))
    turned = [2 * rate - one for one in told]

    report = report_of(pairs(np.clip(turned, 0, 1).tolist(), truth))

    assert report.alarms == (Alarm.AUC_LOW,)


def test_few_pairs_alarm_nobody():
    """Forty-nine patients, all of whom expand against every promise."""
    report = report_of(pairs([0.05] * 49, [True] * 49))

    assert report.alarms == ()


def test_the_version_in_use_comes_first_and_alone_alarms():
    """An older classifier was bad; the present one has no outcome yet."""
    old = pairs(*chances(300, seed=4, scale=0.2))
    new = analysis(900, analysis_facts(0.4, classifier="e"))

    report = report_of(old, others=[new])

    assert [one.version.classification_sha256[0] for one in report.versions] == ["e", "c"]
    assert [one.performance.pairs for one in report.versions] == [0, 300]
    assert report.alarms == ()


def test_who_was_followed_is_told():
    """Two patients of three have an outcome; their mean probability is 0.7, the other's 0.1."""
    known = pairs([0.6, 0.8], [True, False])
    other = analysis(50, analysis_facts(0.1))

    (version,) = report_of(known, others=[other]).versions

    assert version.patients == 3
    assert version.followed_mean == pytest.approx(0.7)
    assert version.other_mean == pytest.approx(0.1)


def test_a_follow_up_of_the_same_patient_is_nobody_new():
    """His second scan has a probability, too, and does not make him a second patient."""
    (pair,) = pairs([0.6], [True])
    again = analysis(60, analysis_facts(0.9), patient=pair.patient_key)

    (version,) = report_of([pair], others=[again]).versions

    assert (version.patients, version.other_mean) == (1, None)


def test_models_on_trial_are_compared_on_the_same_pairs():
    """A shadow that knows the outcome better: AUCs as scikit-learn's, tested in pairs."""
    rng = np.random.default_rng(5)
    truth = rng.random(120) < 0.4
    told = np.clip(0.4 + 0.1 * truth + rng.normal(0, 0.2, 120), 0, 1)
    better = np.clip(0.3 + 0.4 * truth + rng.normal(0, 0.2, 120), 0, 1)
    known = pairs(told.tolist(), truth.tolist())
    trials = [shadow(one.baseline, float(value)) for one, value in zip(known, better, strict=True)]

    (found,) = report_of(known, shadows=trials).shadows

    assert (found.scans, found.pairs, found.expansions) == (120, 120, int(truth.sum()))
    assert found.current_auc == pytest.approx(roc_auc_score(truth, told))
    assert found.shadow_auc == pytest.approx(roc_auc_score(truth, better))
    assert found.auc_difference is not None
    assert found.auc_difference.low > 0
    assert found.p_value is not None
    assert found.p_value < 0.001


def test_models_on_trial_are_compared_without_outcomes():
    """Two scans: one called otherwise, 4 mL apart; one found by the models in use alone."""
    first = analysis(1, analysis_facts(0.4, volume_ml=20.0))
    second = analysis(2, analysis_facts(0.9))
    trials = [shadow(first, 0.6, volume_ml=24.0), shadow(second, None)]

    report = watch(
        WatchedJobs(analyses=(first, second), shadows=tuple(trials)), RULES, statistics={}
    )

    (found,) = report.shadows
    assert (found.scans, found.found_by_one, found.called_otherwise) == (2, 1, 1)
    assert found.volume_difference_ml == pytest.approx(4.0)
    assert found.probability_difference == pytest.approx(0.2)
    assert (found.pairs, found.shadow_auc, found.p_value) == (0, None, None)


def test_the_record_is_json_and_names_no_patient():
    """Neither key nor series of a patient leaves the ledger with the report."""
    known = pairs(*chances(60, seed=6))
    report = report_of(known, shadows=[shadow(known[0].baseline, 0.3)])

    text = json.dumps(watch_record(report), allow_nan=False)

    assert "patient-" not in text
    assert "1.2." not in text
    assert len(json.loads(text)["versions"][0]["outcomes"]) == 60


def test_an_outcome_that_was_not_measured_well_is_told():
    """One of two changes lies within the error of its volumes."""
    scans = [
        comparison(10, analysis(1), comparison_facts(is_certain=False)),
        comparison(11, analysis(2), comparison_facts(expanded=True)),
    ]

    assert report_of(scans).versions[0].performance.uncertain == 1


def test_forecasts_are_judged_where_the_hematoma_expanded():
    """30 mL told for 40 (range to 45), 50 for 44 (no range), 20 for 90 that did not expand."""

    def pair(number, told, reach, measured, *, expanded, growth="a"):
        model = {"weights_sha256": growth}
        forecast = {"volume_ml": told, "volume_range_ml": reach, "model": model}
        record = comparison_facts(expanded=expanded) | {"follow_up_volume_ml": measured}
        record_of = analysis_facts() | {"forecast": forecast}
        before = analysis(number, record_of, acquired_h=number)
        return comparison(100 + number, before, record)

    scans = [
        pair(0, 999.0, None, 40.0, expanded=True, growth="an earlier model"),
        pair(1, 30.0, [20.0, 45.0], 40.0, expanded=True),
        pair(2, 50.0, None, 44.0, expanded=True),
        pair(3, 20.0, [10.0, 30.0], 90.0, expanded=False),
        comparison(200, analysis(4), comparison_facts(expanded=True)),
    ]

    found = report_of(scans).versions[0].forecasts

    assert found is not None
    assert (found.patients, found.within_range, found.with_range) == (2, 1, 1)
    assert (found.error_ml, found.absolute_error_ml) == (-2.0, 8.0)


def test_outcomes_by_two_definitions_are_told():
    """The site began to count growth into the ventricles; the pairs do not mean the same."""
    scans = [
        comparison(10, analysis(1), comparison_facts(definition="standard")),
        comparison(11, analysis(2), comparison_facts(definition="revised")),
    ]

    remarks = report_of(scans).versions[0].performance.remarks

    assert "different definitions" in " ".join(remarks)
