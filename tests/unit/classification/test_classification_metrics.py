"""Intervals and thresholds against published tables and hand counts."""

import numpy as np
import pytest

from training.classification.metrics import (
    sensitivity,
    specificity,
    youden_threshold,
)


def test_shares_at_a_threshold_are_counted():
    """Of 3 expanded 2 reach 0.5; of 4 others 3 stay below."""
    expanded = np.array([True] * 3 + [False] * 4)
    scores = np.array([0.9, 0.5, 0.4, 0.1, 0.2, 0.49, 0.5])

    assert sensitivity(expanded, scores, threshold=0.5).value == pytest.approx(2 / 3)
    assert specificity(expanded, scores, threshold=0.5).value == pytest.approx(3 / 4)


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
