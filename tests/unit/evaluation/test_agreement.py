"""Bland-Altman limits and ICC(2,1) against published examples."""

import numpy as np
import pytest

from training.evaluation.agreement import bland_altman, volume_icc
from training.evaluation.agreement_statistics import absolute_agreement

#: Table 2 of Shrout and Fleiss (1979): six targets judged by four judges.
SHROUT_FLEISS = np.array(
    [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]],
    dtype=float,
)

#: Table 1 of Bland and Altman (1986): peak flow by Wright's large and mini meter, in L/min.
WRIGHT = [494, 395, 516, 434, 476, 557, 413, 442, 650, 433, 417, 656, 267, 478, 178, 423, 427]
MINI = [512, 430, 520, 428, 500, 600, 364, 380, 658, 445, 432, 626, 260, 477, 259, 350, 451]


def test_icc_is_that_of_the_published_example():
    """Table 4 of Shrout and Fleiss gives ICC(2,1) = 0.29."""
    assert absolute_agreement(SHROUT_FLEISS) == pytest.approx(0.29, abs=0.005)


def test_icc_punishes_a_constant_offset():
    """Perfect correlation with an offset is no agreement: 3, 4, 5 against 1, 2, 3.

    Mean squares: subjects 2, raters 6, error 0; ICC = 2 / (2 + 2 * 6 / 3) = 1/3.
    """
    ratings = np.array([[1.0, 3.0], [2.0, 4.0], [3.0, 5.0]])

    assert absolute_agreement(ratings) == pytest.approx(1 / 3)


def test_icc_of_equal_volumes_is_one():
    """What agrees perfectly has ICC 1 in every draw of patients."""
    found = volume_icc([1, 5, 9, 20], [1, 5, 9, 20], ["a", "b", "c", "d"], draws=50)

    assert (found.value, found.low, found.high) == pytest.approx((1, 1, 1))


def test_icc_of_constants_is_not_defined():
    """Without any variance there is nothing to share."""
    assert absolute_agreement(np.ones((3, 2))) is None
    with pytest.raises(ValueError, match="two subjects"):
        absolute_agreement(np.ones((1, 2)))


def test_limits_are_those_of_the_published_example():
    """Bland and Altman: bias -2.1 L/min, SD 38.8; limits -2.1 - 76.0 and -2.1 + 76.0."""
    found = bland_altman(WRIGHT, MINI, [str(n) for n in range(17)])

    assert found.bias.value == pytest.approx(-2.1, abs=0.05)
    assert found.lower_limit.value == pytest.approx(-2.1 - 1.96 * 38.8, abs=0.2)
    assert found.upper_limit.value == pytest.approx(-2.1 + 1.96 * 38.8, abs=0.2)


def test_interval_of_the_bias_is_that_of_the_published_example():
    """They give -22.0 to 17.8 L/min by Student's t; the bootstrap comes near."""
    found = bland_altman(WRIGHT, MINI, [str(n) for n in range(17)])

    assert found.bias.low == pytest.approx(-22.0, abs=3)
    assert found.bias.high == pytest.approx(17.8, abs=3)


def test_pairs_are_needed():
    """One pair has no spread."""
    with pytest.raises(ValueError, match="two pairs"):
        bland_altman([1.0], [1.0], ["a"])
    with pytest.raises(ValueError, match="cannot be paired"):
        volume_icc([1.0], [1.0, 2.0], ["a"])
