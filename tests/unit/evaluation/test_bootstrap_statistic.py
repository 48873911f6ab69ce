"""Draws of patients."""

import numpy as np
import pytest

from training.evaluation.bootstrap import bootstrap_mean, bootstrap_statistic, draw_statistic


def test_statistic_of_draws_agrees_with_the_bootstrap_of_means():
    """The general bootstrap of a mean has the interval of the special one, up to chance."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=120)
    patients = [f"p{n // 3}" for n in range(120)]

    general = bootstrap_statistic(
        lambda cases: float(values[cases].mean()), patients, rng=np.random.default_rng(1)
    )

    special = bootstrap_mean(values.tolist(), patients, rng=np.random.default_rng(2))
    assert general.value == pytest.approx(special.mean)
    assert general.low == pytest.approx(special.low, abs=0.015)
    assert general.high == pytest.approx(special.high, abs=0.015)


def test_a_patient_is_drawn_with_all_cases():
    """Every draw holds whole patients: case 0 and case 1 belong together."""
    together = []

    def count(cases):
        together.append((cases == 0).sum() == (cases == 1).sum())
        return 0.0

    draw_statistic(count, ["a", "a", "b"], rng=np.random.default_rng(0), draws=20)

    assert all(together)
    assert len(together) == 20


def test_undefined_draws_are_drawn_again():
    """Half of all draws of two patients hold only one of them; none of these counts."""

    def both(cases):
        return 1.0 if len(set(cases.tolist())) == 2 else None

    values = draw_statistic(both, ["a", "b"], rng=np.random.default_rng(0), draws=30)

    assert values.tolist() == [1.0] * 30


def test_a_statistic_that_nothing_defines_is_refused():
    """An endless search for a usable draw ends with a message."""
    with pytest.raises(ValueError, match="not defined"):
        bootstrap_statistic(lambda _: None, ["a"], rng=np.random.default_rng(0))
    with pytest.raises(ValueError, match="Only 0 of"):
        draw_statistic(lambda _: None, ["a"], rng=np.random.default_rng(0), draws=3)
