"""Calibration and net benefit against statsmodels, known truths and hand counts."""

import numpy as np
import pytest

from pipeline.statistics.calibration import (
    calibration_error,
    calibration_line,
    reliability,
)
from training.evaluation.brier import brier
from training.evaluation.decision_curve import decision_curve

PROBABILITIES = np.array(
    [0.05, 0.1, 0.1, 0.2, 0.25, 0.3, 0.4, 0.45, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95]
)
POSITIVE = np.array([0, 0, 1, 0, 0, 1, 0, 0, 1, 1, 0, 1, 1, 1], dtype=bool)


def test_slope_and_intercept_are_those_of_statsmodels():
    """GLM, binomial, with the log odds as input, then as offset (statsmodels 0.15)."""
    found = calibration_line(POSITIVE, PROBABILITIES)

    assert (found.slope.value, found.slope.low, found.slope.high) == pytest.approx(
        (0.749845, -0.149987, 1.649676), abs=1e-4
    )
    assert (found.intercept.value, found.intercept.low, found.intercept.high) == pytest.approx(
        (0.305286, -0.984396, 1.594968), abs=1e-4
    )


def test_the_line_finds_what_was_done_to_right_probabilities():
    """True log odds 1 + 0.5 x are told as x: slope 0.5; doubling them again makes 0.25."""
    rng = np.random.default_rng(0)
    told = rng.normal(size=20000) * 2
    positive = rng.random(20000) < 1 / (1 + np.exp(-(1 + 0.5 * told)))

    half = calibration_line(positive, 1 / (1 + np.exp(-told)))
    quarter = calibration_line(positive, 1 / (1 + np.exp(-2 * told)))

    assert half.slope.low < 0.5 < half.slope.high
    assert quarter.slope.value == pytest.approx(half.slope.value / 2, rel=1e-3)
    assert half.intercept.low > 0


def test_right_probabilities_have_slope_one_and_intercept_zero():
    """What happens as often as promised is calibrated."""
    rng = np.random.default_rng(1)
    probabilities = rng.uniform(0.05, 0.6, size=20000)
    positive = rng.random(20000) < probabilities

    found = calibration_line(positive, probabilities)

    assert found.slope.low < 1 < found.slope.high
    assert found.intercept.low < 0 < found.intercept.high
    assert calibration_error(reliability(positive, probabilities)) < 0.02


@pytest.mark.parametrize(
    ("positive", "probabilities", "message"),
    [
        ([True, True], [0.2, 0.3], "both outcomes"),
        ([True, False], [0.3, 0.3], "All probabilities are equal"),
        ([True, True, False, False], [0.9, 0.8, 0.2, 0.1], "separate"),
    ],
)
def test_no_line_where_none_fits(positive, probabilities, message):
    """One outcome, one probability, or perfect separation."""
    with pytest.raises(ValueError, match=message):
        calibration_line(np.array(positive), np.array(probabilities))


def test_groups_are_equal_in_size_and_keep_ties_together():
    """Fourteen cases in seven groups make pairs; two equal probabilities share one."""
    groups = reliability(POSITIVE, PROBABILITIES, groups=7)
    tied = reliability(np.array([True, False, True]), np.full(3, 0.4), groups=3)

    assert sum(one.cases for one in groups) == 14
    assert groups[-1].mean_probability == pytest.approx(0.925)
    assert groups[-1].share.value == 1
    assert [one.cases for one in tied] == [3]


def test_calibration_error_by_hand():
    """One case told 0.2 that happens, one told 0.8 that does not: off by 0.8 each."""
    groups = reliability(np.array([True, False]), np.array([0.2, 0.8]), groups=2)

    assert calibration_error(groups) == pytest.approx(0.8)


def test_brier_by_hand():
    """Errors 0.2 and 0.4: (0.04 + 0.16) / 2."""
    found = brier(
        np.array([True, False]),
        np.array([0.8, 0.4]),
        patients=["a", "b"],
        rng=np.random.default_rng(0),
        draws=200,
    )

    assert (found.value, found.low, found.high) == pytest.approx((0.1, 0.04, 0.16))


def test_net_benefit_by_hand():
    """At 1/4 one of four is a hit and one an alarm: 1/4 - 1/4 * 1/3; all: 2/4 - 2/4 * 1/3."""
    positive = np.array([True, True, False, False])
    curve = decision_curve(
        positive, np.array([0.9, 0.1, 0.3, 0.2]), thresholds=np.array([0.25, 0.5])
    )

    assert curve.model == pytest.approx([1 / 4 - 1 / 12, 1 / 4])
    assert curve.treat_all == pytest.approx([1 / 2 - 1 / 6, 0])


def test_net_benefit_needs_a_threshold_that_can_be_weighed():
    """At 1 the odds are infinite."""
    with pytest.raises(ValueError, match="between 0 and 1"):
        decision_curve(POSITIVE, PROBABILITIES, thresholds=np.array([1.0]))
