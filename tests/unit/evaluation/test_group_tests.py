"""Tests of groups against the npj study's table 1 and textbook examples."""

import numpy as np
import pytest

from training.evaluation.group_tests import anova, chi_square, kruskal_wallis, mann_whitney


def with_moments(mean: float, sd: float, count: int):
    """Return values that have exactly this mean and standard deviation."""
    values = np.random.default_rng(count).normal(size=count)
    return (values - values.mean()) / values.std(ddof=1) * sd + mean


def test_chi_square_is_that_of_the_published_table():
    """Table 1: sex by cohort has p = 0.407, expansion by cohort p = 0.621."""
    sex = chi_square(np.array([[783, 320], [371, 142], [276, 128]]))
    expansion = chi_square(np.array([[218, 885], [112, 401], [81, 323]]))

    assert sex.p_value == pytest.approx(0.407, abs=5e-4)
    assert expansion.p_value == pytest.approx(0.621, abs=5e-4)


def test_anova_is_that_of_the_published_table():
    """Table 1: age 60.08 (13.36), 59.91 (13.69), 60.75 (13.98) years has p = 0.611."""
    found = anova(
        [
            with_moments(60.08, 13.36, 1103),
            with_moments(59.91, 13.69, 513),
            with_moments(60.75, 13.98, 404),
        ]
    )

    assert found.p_value == pytest.approx(0.611, abs=0.006)  # means are printed rounded


def test_kruskal_wallis_by_hand():
    """Ranks 1 2 3, 4 5 6, 7 8 9: H = 12/90 * (36 + 225 + 576)/3 - 30 = 7.2, p = exp(-3.6)."""
    found = kruskal_wallis([np.array([1, 2, 3]), np.array([4, 5, 6]), np.array([7, 8, 9])])

    assert found.statistic == pytest.approx(7.2)
    assert found.p_value == pytest.approx(np.exp(-3.6))


def test_mann_whitney_by_hand():
    """All of three lie below all of three: U = 0, and 2 of 20 orders are as extreme."""
    found = mann_whitney(np.array([1, 2, 3]), np.array([4, 5, 6]))

    assert (found.statistic, found.p_value) == (0, pytest.approx(0.1))


def test_equal_ratings_do_not_differ():
    """Where everybody says 3 there is no difference, and no division by zero."""
    assert mann_whitney(np.full(30, 3), np.full(20, 3)).p_value == 1


@pytest.mark.parametrize(
    ("run", "message"),
    [
        (lambda: chi_square(np.array([[1, 2]])), "two groups"),
        (lambda: chi_square(np.array([[1, 0], [2, 0]])), "is empty"),
        (lambda: anova([np.array([1.0, 2.0])]), "Two groups"),
        (lambda: anova([np.ones(3), np.ones(3)]), "equal"),
        (lambda: kruskal_wallis([np.ones(3), np.ones(3)]), "equal"),
        (lambda: kruskal_wallis([np.array([]), np.ones(3)]), "at least 1"),
        (lambda: mann_whitney(np.array([np.nan]), np.ones(3)), "not finite"),
    ],
)
def test_what_cannot_be_tested_is_refused(run, message):
    """A test without groups, values or spread says nothing."""
    with pytest.raises(ValueError, match=message):
        run()
