"""Calibration of voxel probabilities and of the doubt told with them."""

import math

import numpy as np
import pytest

from training.evaluation.voxel_calibration import (
    calibrate,
    calibration_sums,
    error_versus_uncertainty,
)
from training.evaluation.voxel_calibration_figure import draw_voxel_calibration

PROBABILITY = np.array([0.05, 0.15, 0.15, 0.95, 0.85])
TRUTH = np.array([0, 0, 1, 1, 0], dtype=bool)


def noisy(count=20_000, seed=1):
    """Return probabilities, and truths drawn with exactly those probabilities."""
    rng = np.random.default_rng(seed)
    probability = rng.uniform(0, 1, count)
    return probability, rng.uniform(0, 1, count) < probability


def binary_entropy(probability):
    return -probability * np.log(probability) - (1 - probability) * np.log(1 - probability)


def test_measures_equal_a_hand_calculation():
    """Five voxels by hand.

    Bins: [0, .1) 0.05 against 0; [.1, .2) 0.15 twice against 1 of 2; [.8, .9) 0.85 against 0;
    [.9, 1] 0.95 against 1. ECE = (1 * 0.05 + 2 * 0.35 + 1 * 0.85 + 1 * 0.05) / 5 = 0.33.
    Brier = (0.0025 + 0.0225 + 0.7225 + 0.0025 + 0.7225) / 5 = 0.2945.
    NLL = -(ln 0.95 + ln 0.85 + ln 0.15 + ln 0.95 + ln 0.15) / 5.
    """
    found = calibrate([calibration_sums(PROBABILITY, TRUTH)])

    assert found.ece == pytest.approx(0.33)
    assert found.brier == pytest.approx(0.2945)
    expected = -(2 * math.log(0.95) + math.log(0.85) + 2 * math.log(0.15)) / 5
    assert found.nll == pytest.approx(expected)
    assert (found.voxels, found.scans, found.empty_scans) == (5, 1, 0)


def test_bins_tell_promise_and_truth():
    """The second bin holds two voxels of 0.15, one of them hematoma; empty bins are NaN."""
    bins = calibrate([calibration_sums(PROBABILITY, TRUTH)]).bins

    assert (bins[1].voxels, bins[1].hematoma_share) == (2, 0.5)
    assert bins[1].mean_probability == pytest.approx(0.15)
    assert (bins[1].low, bins[1].high) == pytest.approx((0.1, 0.2))
    assert [one.voxels for one in bins] == [1, 2, 0, 0, 0, 0, 0, 0, 1, 1]
    assert math.isnan(bins[4].hematoma_share)


def test_measures_equal_an_independent_calculation():
    """Digitised bins, squared differences and logarithms of 20,000 voxels, written otherwise."""
    probability, truth = noisy()
    truth = truth ^ (np.arange(len(truth)) % 7 == 0)

    found = calibrate([calibration_sums(probability, truth)])

    bin_of = np.digitize(probability, np.linspace(0, 1, 11)[1:-1])
    gaps = [
        (bin_of == one).mean()
        * abs(probability[bin_of == one].mean() - truth[bin_of == one].mean())
        for one in range(10)
    ]
    likelihood = np.abs(probability - ~truth)
    assert found.ece == pytest.approx(sum(gaps))
    assert found.brier == pytest.approx(np.mean(np.square(probability - truth)))
    assert found.nll == pytest.approx(-np.mean(np.log(likelihood)))


def test_probabilities_that_come_true_are_calibrated():
    """Truths drawn with the promised probabilities leave an ECE of about 1 / sqrt(n)."""
    found = calibrate([calibration_sums(*noisy(200_000))])

    assert found.ece < 0.005
    # Of uniform p, the mean of p (1 - p) is 1/6.
    assert found.brier == pytest.approx(1 / 6, abs=0.005)


def test_unknown_voxels_take_no_part():
    """Wildly wrong voxels change nothing while their truth is unknown."""
    probability = np.concatenate([PROBABILITY, [1.0, 1.0]]).reshape(1, 7)
    truth = np.concatenate([TRUTH, [False, False]]).reshape(1, 7)
    known = np.array([[True] * 5 + [False] * 2])

    found = calibrate([calibration_sums(probability, truth, known=known)])

    expected = calibrate([calibration_sums(PROBABILITY, TRUTH)])
    assert (found.ece, found.brier, found.nll) == (expected.ece, expected.brier, expected.nll)
    assert found.voxels == 5


def test_a_scan_in_which_nothing_is_found_counts():
    """A missed bleed enters every mean; that the scan is empty is told beside them.

    A second scan of five voxels at 0, three of them hematoma: Brier (5 * 0.2945 + 3) / 10, and
    each miss costs -ln 1e-7.
    """
    empty = calibration_sums(np.zeros(5), np.array([1, 1, 1, 0, 0], dtype=bool))

    found = calibrate([calibration_sums(PROBABILITY, TRUTH), empty])

    alone = calibrate([calibration_sums(PROBABILITY, TRUTH)])
    assert (found.scans, found.empty_scans, found.voxels) == (2, 1, 10)
    assert found.brier == pytest.approx((5 * 0.2945 + 3) / 10)
    assert found.nll == pytest.approx((5 * alone.nll - 3 * math.log(1e-7)) / 10, rel=1e-5)


def test_scans_add_up_to_their_voxels_together():
    """The sums of two halves give what the whole gives, the halves' order does not matter."""
    probability, truth = noisy()
    halves = [
        calibration_sums(probability[part], truth[part]) for part in (np.s_[:5_000], np.s_[5_000:])
    ]

    found, whole = calibrate(halves[::-1]), calibrate([calibration_sums(probability, truth)])

    assert found.ece == pytest.approx(whole.ece)
    assert found.nll == pytest.approx(whole.nll)


@pytest.mark.parametrize(
    ("probability", "bins", "message"),
    [
        (np.array([0.5, 1.5]), 10, r"lie in \[0, 1\]"),
        (np.array([0.5, math.nan]), 10, r"lie in \[0, 1\]"),
        (np.array([0.5]), 10, "Shapes differ"),
        (np.array([0.5, 0.5]), 0, "At least one bin"),
    ],
)
def test_impossible_input_is_refused(probability, bins, message):
    """Neither NaN nor another shape slips into a mean."""
    with pytest.raises(ValueError, match=message):
        calibration_sums(probability, np.array([True, False]), bins=bins)


def test_nothing_known_is_refused():
    """A mean over no voxel is no number."""
    sums = calibration_sums(np.ones(2), np.ones(2, dtype=bool), known=np.zeros(2, dtype=bool))

    with pytest.raises(ValueError, match="no voxel"):
        calibrate([sums])
    with pytest.raises(ValueError, match="different numbers of bins"):
        calibrate([sums, calibration_sums(np.ones(2), np.ones(2, dtype=bool), bins=5)])


def test_deciles_are_sorted_by_doubt():
    """Twenty voxels, doubt by rank, wrong at ranks 18 and 20: 0 % in eight deciles, then 50 %."""
    rng = np.random.default_rng(2)
    rank = rng.permutation(20)
    truth = np.zeros(20, dtype=bool)
    probability = np.where(np.isin(rank, [17, 19]), 0.9, 0.1)

    curve = error_versus_uncertainty(probability, rank / 40, truth)

    assert [part.error_rate for part in curve.parts] == [0.0] * 8 + [0.5, 0.5]
    assert [part.voxels for part in curve.parts] == [2] * 10
    assert curve.parts[3].mean_entropy == pytest.approx(6.5 / 40)
    assert curve.error_rate == pytest.approx(0.1)


def test_doubt_that_knows_the_errors_is_perfect():
    """If just the wrong voxels are doubtful, removing them is the best there is: area 0."""
    wrong = np.arange(1000) % 10 == 0

    curve = error_versus_uncertainty(np.where(wrong, 0.9, 0.1), wrong * 0.5, np.zeros(1000, bool))

    assert curve.sparsification_error == pytest.approx(0, abs=1e-12)
    assert curve.parts[-1].error_rate == 1.0


def test_useless_doubt_costs_the_area_above_the_best_curve():
    """Without any difference in doubt the error rate stays e, the best falls to 0 at e.

    With e = 0.1 the area is e * 0.99 minus the integral of (e - f) / (1 - f) over [0, e], which
    is e + (1 - e) ln(1 - e) = 0.005176: 0.093824.
    """
    wrong = np.arange(10_000) % 10 == 0

    curve = error_versus_uncertainty(
        np.where(wrong, 0.9, 0.1), np.full(10_000, 0.3), np.zeros(10_000, bool)
    )

    assert curve.sparsification_error == pytest.approx(0.093824, abs=2e-5)
    assert [part.error_rate for part in curve.parts] == pytest.approx([0.1] * 10)


def test_entropy_of_calibrated_probabilities_orders_the_errors():
    """The error rate rises with the decile; the doubt is far better than none."""
    probability, truth = noisy()

    curve = error_versus_uncertainty(probability, binary_entropy(probability), truth)

    rates = [part.error_rate for part in curve.parts]
    assert rates == sorted(rates)
    # Useless doubt at e = 0.25: 0.25 * 0.99 - (0.25 + 0.75 ln 0.75) = 0.2133
    assert curve.sparsification_error < 0.12


def test_unknown_voxels_take_no_part_in_the_curve():
    """Errors whose truth is unknown are no errors."""
    known = np.arange(100) < 50
    probability = np.where(known, 0.1, 0.9)

    curve = error_versus_uncertainty(
        probability, np.linspace(0, 0.6, 100), np.zeros(100, bool), known=known
    )

    assert curve.error_rate == 0
    assert sum(part.voxels for part in curve.parts) == 50


def test_too_few_voxels_for_the_parts_are_refused():
    """Nine voxels make no deciles."""
    with pytest.raises(ValueError, match="9 voxels cannot make 10 parts"):
        error_versus_uncertainty(np.zeros(9), np.zeros(9), np.zeros(9, bool))


@pytest.mark.parametrize("with_curve", [False, True])
def test_a_picture_is_drawn(tmp_path, with_curve):
    """A PNG with one panel or two."""
    probability, truth = noisy(1000)
    curve = error_versus_uncertainty(probability, binary_entropy(probability), truth)
    calibration = calibrate([calibration_sums(probability, truth)])
    path = tmp_path / "calibration.png"

    draw_voxel_calibration(path, calibration, curve if with_curve else None, title="toy")

    content = path.read_bytes()
    assert content.startswith(b"\x89PNG")
    assert int.from_bytes(content[16:20], "big") == (1000 if with_curve else 500)
