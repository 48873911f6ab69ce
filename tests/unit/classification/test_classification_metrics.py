"""AUC, intervals and thresholds against scikit-learn, published tables and hand counts."""

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from training.classification.metrics import (
    auc,
    bootstrap,
    roc_curve,
    sensitivity,
    specificity,
    wilson,
    youden_threshold,
)


def cohort(seed: int, *, ties: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return outcomes and scores of 80 patients, with or without equal scores."""
    rng = np.random.default_rng(seed)
    expanded = rng.random(80) < 0.3
    scores = rng.normal(size=80) + expanded
    return expanded, np.round(scores) if ties else scores


@pytest.mark.parametrize("ties", [False, True])
def test_auc_is_that_of_scikit_learn(ties):
    """An independent implementation counts the same pairs."""
    expanded, scores = cohort(1, ties=ties)

    assert auc(expanded, scores) == pytest.approx(sklearn_metrics.roc_auc_score(expanded, scores))


def test_auc_of_a_hand_count():
    """Of 2 x 3 pairs 4 are in order and one is tied: 4.5 / 6."""
    expanded = np.array([True, True, False, False, False])
    scores = np.array([0.9, 0.4, 0.4, 0.1, 0.6])

    assert auc(expanded, scores) == pytest.approx(4.5 / 6)


def test_auc_needs_both_outcomes():
    """Without any expansion there is nothing to separate."""
    with pytest.raises(ValueError, match="both outcomes"):
        auc(np.zeros(3, bool), np.arange(3.0))


@pytest.mark.parametrize("ties", [False, True])
def test_roc_curve_is_that_of_scikit_learn(ties):
    """The same points, corner points left in."""
    expanded, scores = cohort(2, ties=ties)

    curve = roc_curve(expanded, scores)

    false_alarms, hits, _ = sklearn_metrics.roc_curve(expanded, scores, drop_intermediate=False)
    assert np.allclose(curve.false_alarm_rate, false_alarms)
    assert np.allclose(curve.sensitivity, hits)


def test_wilson_interval_is_that_of_the_textbook():
    """81 of 263 (Newcombe 1998, table I): 0.2553 to 0.3662."""
    found = wilson(81, 263)

    assert (found.low, found.high) == (
        pytest.approx(0.2553, abs=5e-5),
        pytest.approx(0.3662, abs=5e-5),
    )


def test_shares_at_a_threshold_are_counted():
    """Of 3 expanded 2 reach 0.5; of 4 others 3 stay below."""
    expanded = np.array([True] * 3 + [False] * 4)
    scores = np.array([0.9, 0.5, 0.4, 0.1, 0.2, 0.49, 0.5])

    assert sensitivity(expanded, scores, threshold=0.5).value == pytest.approx(2 / 3)
    assert specificity(expanded, scores, threshold=0.5).value == pytest.approx(3 / 4)


def test_bootstrap_interval_covers_the_known_area():
    """Normal scores one SD apart have an area of 0.760; 95 % intervals hold it mostly."""
    held = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        expanded = np.arange(90) < 30
        scores = rng.normal(size=90) + expanded
        found = bootstrap(
            auc, expanded, scores, patients=[str(n) for n in range(90)], rng=rng, resamples=200
        )
        held += found.low <= 0.760 <= found.high
        assert found.low <= found.value <= found.high

    assert held >= 34  # 38 expected; fewer than 34 of 40 has a chance of 1 %


def test_cases_of_one_patient_are_drawn_together():
    """Copying every case does not narrow the interval when the copies are the patient's."""
    expanded, scores = cohort(3, ties=False)
    names = [str(number) for number in range(80)]

    def width(patients, copies):
        found = bootstrap(
            auc,
            np.tile(expanded, copies),
            np.tile(scores, copies),
            patients=patients,
            rng=np.random.default_rng(0),
            resamples=400,
        )
        return found.high - found.low

    alone = width(names, 1)
    assert width(names * 4, 4) == pytest.approx(alone, rel=0.15)
    assert width([str(number) for number in range(320)], 4) < 0.7 * alone


def test_youden_threshold_separates_what_can_be_separated():
    """Between 0.3 and 0.6 lies the only threshold without an error."""
    expanded = np.array([False, False, True, True])
    scores = np.array([0.1, 0.3, 0.6, 0.8])

    assert youden_threshold(expanded, scores) == pytest.approx(0.45)


def test_a_missed_expansion_is_worse_than_a_false_alarm():
    """Two thresholds gain 1/2: the lower one is taken."""
    expanded = np.array([True, False, True, False])
    scores = np.array([0.8, 0.6, 0.4, 0.2])

    assert youden_threshold(expanded, scores) == pytest.approx(0.3)


def test_useless_scores_call_everybody():
    """Where no threshold gains anything the lowest one, which calls all, is taken."""
    expanded = np.array([True, False])

    assert youden_threshold(expanded, np.array([0.2, 0.2])) == pytest.approx(0.2)
