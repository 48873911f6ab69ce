"""Thresholds against hand counts."""

import numpy as np
import pytest

from training.classification.metrics import operating_point, youden_threshold


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


def test_an_operating_point_reaches_its_sensitivity_and_no_more():
    """Scores .9 .7 .5 .3 of the expanded: 75 % needs 0.5, half way to 0.4; 2 of 4 stay below."""
    expanded = np.array([True] * 4 + [False] * 4)
    scores = np.array([0.9, 0.7, 0.5, 0.3, 0.8, 0.6, 0.4, 0.2])

    found = operating_point(expanded, scores, wanted_sensitivity=0.75)

    assert found.name == "sensitivity-75"
    assert found.threshold == pytest.approx(0.45)
    assert (found.sensitivity, found.specificity) == (0.75, 0.5)


def test_a_sensitivity_of_one_calls_every_expanded_patient():
    """The threshold lies below the lowest score of those that expanded."""
    expanded = np.array([True, False, True, False])
    scores = np.array([0.8, 0.6, 0.4, 0.2])

    found = operating_point(expanded, scores, wanted_sensitivity=1.0)

    assert (found.sensitivity, found.specificity) == (1.0, 0.5)
    assert found.threshold == pytest.approx(0.3)


def test_an_operating_point_needs_something_to_be_chosen_on():
    """No sensitivity beyond all, none without both outcomes."""
    with pytest.raises(ValueError, match=r"\(0, 1\]"):
        operating_point(np.array([True, False]), np.array([0.1, 0.2]), wanted_sensitivity=1.1)
    with pytest.raises(ValueError, match="both outcomes"):
        operating_point(np.array([True, True]), np.array([0.1, 0.2]), wanted_sensitivity=0.9)
