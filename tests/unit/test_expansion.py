"""Expansion by the published definitions, at their limits, with the doubt of both volumes."""

import numpy as np
import pytest

from pipeline.expansion import (
    Criterion,
    MeasuredVolumes,
    judge_change,
    meets_expansion_rule,
)
from pipeline.finding import VolumeRange


@pytest.mark.parametrize(
    ("baseline_ml", "follow_up_ml", "criteria"),
    [
        (30.0, 36.0, set()),  # exactly 6 mL and 20 %: neither is more than
        (30.0, 36.1, {Criterion.ABSOLUTE}),
        (10.0, 13.29, set()),  # 32.9 %
        (10.0, 13.4, {Criterion.RELATIVE}),
        (10.0, 17.0, {Criterion.ABSOLUTE, Criterion.RELATIVE}),
        (20.0, 5.0, set()),
        (0.0, 5.0, set()),  # nothing to be a third of
        (0.0, 7.0, {Criterion.ABSOLUTE}),
    ],
)
def test_growth_counts_by_the_criteria_of_dowlatshahi(baseline_ml, follow_up_ml, criteria):
    """More than 6 mL or more than 33 %, each strictly (Neurology 2011)."""
    change = judge_change(
        MeasuredVolumes(hematoma_ml=baseline_ml), MeasuredVolumes(hematoma_ml=follow_up_ml)
    )

    assert change.criteria == criteria
    assert change.is_expansion == meets_expansion_rule(baseline_ml, follow_up_ml) == bool(criteria)


@pytest.mark.parametrize(
    ("before_ml", "after_ml", "criteria"),
    [
        (0.0, 0.2, {Criterion.NEW_INTRAVENTRICULAR}),
        (2.0, 2.9, set()),
        (2.0, 3.0, {Criterion.INTRAVENTRICULAR_GROWTH}),
        (0.0, 0.0, set()),
        (None, 4.0, set()),
    ],
)
def test_the_revised_definition_adds_blood_in_the_ventricles(before_ml, after_ml, criteria):
    """Any that is new, or at least 1 mL more (Yogendrakumar et al., Stroke 2020)."""
    baseline = MeasuredVolumes(hematoma_ml=20.0, intraventricular_ml=before_ml)
    follow_up = MeasuredVolumes(hematoma_ml=20.0, intraventricular_ml=after_ml)

    assert judge_change(baseline, follow_up, with_ventricles=True).criteria == criteria
    assert not judge_change(baseline, follow_up).is_expansion


def test_change_is_follow_up_minus_baseline():
    """Absolute in millilitres, relative as a share of the baseline; none without a baseline."""
    grown = judge_change(MeasuredVolumes(hematoma_ml=12.0), MeasuredVolumes(hematoma_ml=15.0))
    fresh = judge_change(MeasuredVolumes(hematoma_ml=0.0), MeasuredVolumes(hematoma_ml=3.0))

    assert grown.absolute_ml == 3.0
    assert grown.relative == 0.25
    assert fresh.relative is None


def test_the_range_of_the_change_holds_it_as_often_as_it_says():
    """Of 20,000 pairs with independent normal errors, 95 % lie in it (by simulation)."""
    rng = np.random.default_rng(4)
    truth_before, truth_after = 20.0, 27.0
    spread_before, spread_after = 1.0, 1.6
    held = 0
    for before, after in zip(
        rng.normal(truth_before, spread_before, 20_000),
        rng.normal(truth_after, spread_after, 20_000),
        strict=True,
    ):
        reach = judge_change(
            MeasuredVolumes(
                hematoma_ml=before,
                hematoma_range=VolumeRange(
                    low_ml=before - 1.96 * spread_before, high_ml=before + 1.96 * spread_before
                ),
            ),
            MeasuredVolumes(
                hematoma_ml=after,
                hematoma_range=VolumeRange(
                    low_ml=after - 1.96 * spread_after, high_ml=after + 1.96 * spread_after
                ),
            ),
        ).change_range
        held += reach.low_ml <= truth_after - truth_before <= reach.high_ml

    assert held / 20_000 == pytest.approx(0.95, abs=0.005)


@pytest.mark.parametrize(
    ("follow_up_ml", "is_certain"), [(20.5, True), (26.5, False), (35.0, True)]
)
def test_the_verdict_is_certain_where_the_whole_range_agrees(follow_up_ml, is_certain):
    """Ranges of 2 mL to each side: the change is off by 2.8 mL at most, the limit is 6 mL."""
    change = judge_change(
        MeasuredVolumes(hematoma_ml=20.0, hematoma_range=VolumeRange(low_ml=18, high_ml=22)),
        MeasuredVolumes(
            hematoma_ml=follow_up_ml,
            hematoma_range=VolumeRange(low_ml=follow_up_ml - 2, high_ml=follow_up_ml + 2),
        ),
    )

    assert change.change_range.high_ml - change.absolute_ml == pytest.approx(2 * 2**0.5)
    assert change.is_certain is is_certain


def test_ranges_of_different_levels_give_none():
    """A 90 % range and a 95 % range cannot be joined to one that says what it means."""
    change = judge_change(
        MeasuredVolumes(hematoma_ml=20, hematoma_range=VolumeRange(low_ml=18, high_ml=22)),
        MeasuredVolumes(
            hematoma_ml=20, hematoma_range=VolumeRange(low_ml=18, high_ml=22, level=0.9)
        ),
    )

    assert change.change_range is None
    assert change.is_certain is None


@pytest.mark.parametrize("value", [-0.1, float("nan"), float("inf")])
def test_an_impossible_volume_is_refused_by_name(value):
    """Negative, not a number, infinite."""
    with pytest.raises(ValueError, match=r"hematoma_ml must be a volume"):
        MeasuredVolumes(hematoma_ml=value)
