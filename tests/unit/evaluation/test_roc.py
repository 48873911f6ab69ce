"""AUC and ROC curve against scikit-learn and hand counts; intervals over patients."""

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from pipeline.statistics.roc import auc, roc_curve
from training.evaluation.auc_interval import auc_with_interval


def cohort(seed: int, *, ties: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return outcomes and scores of 80 patients, with or without equal scores."""
    rng = np.random.default_rng(seed)
    positive = rng.random(80) < 0.3
    scores = rng.normal(size=80) + positive
    return positive, np.round(scores) if ties else scores


@pytest.mark.parametrize("ties", [False, True])
def test_auc_is_that_of_scikit_learn(ties):
    """An independent implementation counts the same pairs."""
    positive, scores = cohort(1, ties=ties)

    assert auc(positive, scores) == pytest.approx(sklearn_metrics.roc_auc_score(positive, scores))


def test_auc_of_a_hand_count():
    """Of 2 x 3 pairs 4 are in order and one is tied: 4.5 / 6."""
    positive = np.array([True, True, False, False, False])
    scores = np.array([0.9, 0.4, 0.4, 0.1, 0.6])

    assert auc(positive, scores) == pytest.approx(4.5 / 6)


def test_auc_needs_both_outcomes():
    """Without any expansion there is nothing to separate."""
    with pytest.raises(ValueError, match="both outcomes"):
        auc(np.zeros(3, bool), np.arange(3.0))


@pytest.mark.parametrize("ties", [False, True])
def test_roc_curve_is_that_of_scikit_learn(ties):
    """The same points, corner points left in."""
    positive, scores = cohort(2, ties=ties)

    curve = roc_curve(positive, scores)

    false_alarms, hits, _ = sklearn_metrics.roc_curve(positive, scores, drop_intermediate=False)
    assert np.allclose(curve.false_alarm_rate, false_alarms)
    assert np.allclose(curve.sensitivity, hits)


def test_bootstrap_interval_covers_the_known_area():
    """Normal scores one SD apart have an area of 0.760; 95 % intervals hold it mostly."""
    held = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        positive = np.arange(90) < 30
        scores = rng.normal(size=90) + positive
        found = auc_with_interval(
            positive, scores, patients=[str(n) for n in range(90)], rng=rng, draws=200
        )
        held += found.low <= 0.760 <= found.high
        assert found.low <= found.value <= found.high

    assert held >= 34  # 38 expected; fewer than 34 of 40 has a chance of 1 %


def test_cases_of_one_patient_are_drawn_together():
    """Copying every case does not narrow the interval when the copies are the patient's."""
    positive, scores = cohort(3, ties=False)
    names = [str(number) for number in range(80)]

    def width(patients, copies):
        found = auc_with_interval(
            np.tile(positive, copies),
            np.tile(scores, copies),
            patients=patients,
            rng=np.random.default_rng(0),
            draws=400,
        )
        return found.high - found.low

    alone = width(names, 1)
    assert width(names * 4, 4) == pytest.approx(alone, rel=0.15)
    assert width([str(number) for number in range(320)], 4) < 0.7 * alone
