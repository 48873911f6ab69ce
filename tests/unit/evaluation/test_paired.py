"""Paired comparison of segmentations."""

import numpy as np
import pytest
from scipy import stats

from training.evaluation.paired import (
    compare_paired,
    holm,
    patient_means,
    signed_rank_p_value,
)


def test_signed_rank_test_of_a_hand_count():
    """Five gains and no loss: of 2^5 signs two are as extreme, p = 2/32."""
    assert signed_rank_p_value(np.array([1.0, 2, 3, 4, 5])) == pytest.approx(2 / 32)


def test_signed_rank_test_leaves_equal_pairs_out():
    """Zeros tell nothing about a direction; with nothing else p is 1."""
    with_zeros = signed_rank_p_value(np.array([0.0, 1, 2, 3, 4, 5, 0]))

    assert with_zeros == pytest.approx(2 / 32)
    assert signed_rank_p_value(np.zeros(9)) == 1.0


def test_holm_of_a_hand_calculation():
    """Sorted 0.005, 0.01, 0.03, 0.04 times 4, 3, 2, 1, never falling: 0.02, 0.03, 0.06, 0.06."""
    found = holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005})

    assert list(found) == ["a", "b", "c", "d"]
    assert list(found.values()) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_holm_never_exceeds_one():
    """Nothing is more likely than certain."""
    assert holm({"a": 0.9, "b": 0.6}) == {"a": 1.0, "b": 1.0}


def test_a_patient_counts_once_however_many_scans_there_are():
    """Three scans of one patient and one of another are two patients."""
    values, reference = [0.9, 0.8, 0.7, 0.5], [0.6, 0.5, 0.4, 0.6]

    found = compare_paired(values, reference, ["a", "a", "a", "b"], rng=np.random.default_rng(0))

    assert found.patients == 2
    assert found.difference.value == pytest.approx((0.3 - 0.1) / 2)
    assert (found.difference.low, found.difference.high) == pytest.approx((-0.1, 0.3))


def test_comparison_uses_the_pairing():
    """A small constant gain in very different patients is seen; without pairs it is not."""
    rng = np.random.default_rng(1)
    reference = rng.uniform(0.3, 0.9, size=30)
    values = reference + 0.02 + rng.normal(scale=0.005, size=30)

    found = compare_paired(values.tolist(), reference.tolist(), list(map(str, range(30))), rng=rng)

    assert found.p_value < 1e-6
    assert 0.015 < found.difference.low < 0.02 < found.difference.high < 0.025
    assert stats.mannwhitneyu(values, reference).pvalue > 0.3


def test_values_must_be_pairs():
    """One value cannot be paired with two."""
    with pytest.raises(ValueError, match="cannot be paired"):
        compare_paired([1.0], [1.0, 2.0], ["a"], rng=np.random.default_rng(0))


def test_means_are_taken_patient_by_patient():
    """Each patient's scans are averaged."""
    assert patient_means([1.0, 3.0, 5.0], ["a", "a", "b"]) == {"a": 2.0, "b": 5.0}
