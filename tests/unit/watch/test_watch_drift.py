"""Stability indices against their definition; a known shift raises exactly its alarm."""

import math

import numpy as np
import pytest
from scipy import stats
from watch_builder import analysis, analysis_facts

from dicom_node.watch.alarms import DRIFT_ALARMS, SENTENCES, Alarm
from dicom_node.watch.drift import NAMES, WATCHED, drift_of
from dicom_node.watch.reference import Source
from dicom_node.watch.rules import WatchRules
from dicom_node.watch.stability import shift_of_kinds, shift_of_values
from pipeline.training_statistics import (
    Kinds,
    Measure,
    TrainingStatistics,
    Trait,
    distribution_of,
    kinds_of,
)

RULES = WatchRules()
MAKERS, KERNELS = ("SIEMENS", "GE MEDICAL SYSTEMS"), ("H30s", "STANDARD")


def scans(count, *, seed, first=0, volume=1.0, probability=0.0, scan=None, bleed=0.8, flag=0.2):
    """Return analyses of a site whose mix is known, or shifted as asked."""
    rng = np.random.default_rng(seed)
    found = []
    for number in range(first, first + count):
        maker = int(rng.random() < 0.4)
        facts = {
            "slice_thickness_mm": 5.0 if rng.random() < 0.7 else 1.0,
            "manufacturer": MAKERS[maker],
            "kernel": KERNELS[maker],
        }
        told = float(np.clip(rng.beta(2, 5) + probability, 0, 1))
        ml = float(rng.lognormal(2.8, 0.9)) * volume
        record = analysis_facts(
            told if rng.random() < bleed else None,
            volume_ml=ml,
            flags=["tilt_corrected"] if rng.random() < flag else [],
            scan=facts | (scan or {}),
        )
        found.append(analysis(number + 1, record))
    return found


def bundle(seed=100, count=600):
    """Return training statistics of the same mix."""
    known = scans(count, seed=seed)
    bleeding = [one.record for one in known if one.record["he_probability"] is not None]
    return TrainingStatistics(
        cohort="tests",
        measures={
            Measure.VOLUME: distribution_of([one["volume_ml"] for one in bleeding]),
            Measure.HE_PROBABILITY: distribution_of([one["he_probability"] for one in bleeding]),
        },
        traits={
            Trait.MANUFACTURER: kinds_of(
                "GE" if one.record["scan"]["manufacturer"].startswith("GE") else "Siemens"
                for one in known
            )
        },
    )


def drifted(analyses, *, statistics=()):
    """Return what has drifted."""
    found = drift_of(analyses, RULES, statistics=statistics)
    return {one.what for one in found if one.has_drifted}


def test_index_of_a_hand_calculation():
    """Shares 1/2, 1/2 that become 3/4, 1/4: 1/4 ln(3/2) - 1/4 ln(1/2) = 1/4 ln 3."""
    expected = Kinds(cases=100, shares={"a": 0.5, "b": 0.5})

    found = shift_of_kinds(expected, ["a"] * 75 + ["b"] * 25)

    assert found.psi == pytest.approx(math.log(3) / 4)
    assert found.p_value == pytest.approx(
        stats.chi2_contingency([[50, 50], [75, 25]], correction=False).pvalue
    )


def test_index_of_values_of_a_hand_calculation():
    """All values in the highest of ten bins; nine empty ones count half a case of 1000."""
    expected = distribution_of(np.linspace(0, 1, 1001).tolist())

    found = shift_of_values(expected, [0.95] * 1000)

    empty, full = 0.5 / 1004.5, 1000 / 1004.5
    by_hand = 9 * (empty - 0.1) * math.log(empty / 0.1) + (full - 0.1) * math.log(full / 0.1)
    assert found.psi == pytest.approx(by_hand, rel=1e-6)


@pytest.mark.parametrize("shift", [0.0, 0.1, 0.2, 0.4])
def test_test_of_values_is_nearly_that_of_scipy(shift):
    """Twenty-one quantiles stand for 400 values: p-values differ by little on their scale."""
    rng = np.random.default_rng(3)
    before, after = rng.normal(size=400), rng.normal(shift, 1, size=200)

    found = shift_of_values(distribution_of(before.tolist()), after.tolist())

    exact = stats.ks_2samp(before, after, method="asymp")
    # the distance may miss by what lies between two quantiles: a fifth of 5 % at most here
    near = [
        stats.kstwobign.sf((exact.statistic + off) * (400 / 3) ** 0.5) for off in (0.01, -0.01)
    ]
    assert near[0] < found.p_value < near[1]


def test_a_value_that_occurs_often_is_no_shift():
    """Half of all volumes are exactly 10: the same half again is the same distribution."""
    rng = np.random.default_rng(4)
    values = np.where(rng.random(500) < 0.5, 10.0, rng.uniform(0, 40, 500))

    found = shift_of_values(distribution_of(values.tolist()), values.tolist())

    assert found.psi < 0.05
    assert found.p_value > 0.5


def test_rare_kinds_are_counted_together():
    """Thirty kernels, each seen once or twice, are no thirty surprises."""
    expected = kinds_of(f"K{number % 30}" for number in range(60))

    found = shift_of_kinds(expected, [f"K{number % 40}" for number in range(60)])

    assert found.psi == pytest.approx(0)
    assert found.p_value == 1


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"volume": 2.5}, Measure.VOLUME),
        ({"probability": 0.25}, Measure.HE_PROBABILITY),
        ({"scan": {"slice_thickness_mm": 2.5}}, Trait.THICKNESS),
        ({"scan": {"manufacturer": "NEUSOFT"}}, Trait.MANUFACTURER),
        ({"scan": {"kernel": "J40s"}}, Trait.KERNEL),
        ({"bleed": 0.4}, Trait.FINDING),
        ({"flag": 0.7}, Trait.FLAGS),
    ],
)
def test_a_known_shift_raises_its_alarm_and_no_other(change, what):
    """After 200 ordinary scans one thing changes."""
    analyses = scans(200, seed=1) + scans(200, seed=2, first=200, **change)

    assert drifted(analyses) == {what}


@pytest.mark.parametrize("seed", range(20))
def test_no_shift_raises_no_alarm(seed):
    """Another 200 scans of the same site, judged by the site's own and by the bundle's."""
    analyses = scans(200, seed=seed) + scans(200, seed=1000 + seed, first=200)

    assert drifted(analyses) == set()
    assert drifted(analyses, statistics=[bundle()]) == set()


def test_the_bundle_is_asked_first_and_the_site_stands_in():
    """The bundle knows volume, probability and maker; nothing else."""
    found = drift_of(scans(300, seed=5), RULES, statistics=[bundle()])

    sources = {one.what: one.source for one in found}
    known = {Measure.VOLUME, Measure.HE_PROBABILITY, Trait.MANUFACTURER}
    assert {what for what, source in sources.items() if source is Source.BUNDLE} == known
    assert {what for what, source in sources.items() if source is Source.SITE} == (
        set(WATCHED) - known
    )


def test_a_bundle_that_has_seen_few_scans_is_no_reference():
    """Of 40 scans nothing can be expected; the site's own first ones stand in."""
    found = drift_of(scans(300, seed=5), RULES, statistics=[bundle(count=40)])

    assert {one.source for one in found} == {Source.SITE}


def test_a_shift_against_the_bundle_is_seen_from_the_beginning():
    """With sixty scans of a vendor that the bundle hardly knows nothing waits for 200."""
    analyses = scans(60, seed=6, scan={"manufacturer": "NEUSOFT"})

    assert drifted(analyses, statistics=[bundle()]) == {Trait.MANUFACTURER}


def test_too_few_scans_are_not_judged():
    """Below the minimum there is no index, whatever the scans look like."""
    analyses = scans(200, seed=7) + scans(49, seed=8, first=200, volume=9.0, bleed=1.0)

    found = {one.what: one for one in drift_of(analyses, RULES, statistics=[])}

    assert found[Measure.VOLUME].cases == 49
    assert found[Measure.VOLUME].shift is None
    assert not any(one.has_drifted for one in found.values())


def test_records_of_earlier_versions_have_no_equipment():
    """Without scan facts there is nothing to compare, and nothing is invented."""
    plain = [
        analysis(number, {key: value for key, value in analysis_facts().items() if key != "scan"})
        for number in range(1, 400)
    ]

    found = {one.what: one for one in drift_of(plain, RULES, statistics=[])}

    assert (found[Trait.KERNEL].source, found[Trait.KERNEL].cases) == (None, 0)
    assert found[Measure.VOLUME].shift is not None


def test_nothing_was_ever_analysed():
    """An empty ledger has no drift."""
    found = drift_of([], RULES, statistics=[])

    assert [one.what for one in found] == list(WATCHED)
    assert all(one.shift is None for one in found)


def test_everything_that_is_watched_has_an_alarm_and_a_sentence():
    """Both tables are total."""
    assert set(DRIFT_ALARMS) == set(NAMES) == set(WATCHED)
    assert set(SENTENCES) == set(Alarm)
