"""Agreement of raters against published worked examples."""

import numpy as np
import pytest

from training.evaluation.agreement_statistics import (
    DisagreementWeight,
    agreement_table,
    cohen_kappa,
    fleiss_kappa,
    icc_2_1,
    rating_counts,
)

#: Table 2 of Shrout and Fleiss (1979): six targets judged by four judges.
SHROUT_FLEISS = np.array(
    [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]
)

#: Table 1 of Fleiss (1971): 30 patients, six psychiatrists each, the categories depression,
#: personality disorder, schizophrenia, neurosis, other as 1 to 5.
DIAGNOSES = """
444444 222555 233335 555555 222444 113333 333355 113334 114444 555555
144444 124444 222333 144444 224445 333335 111455 111112 224444 133555
555555 244444 224555 114444 144445 222224 111155 224444 133333 555555
"""

#: Fleiss, Cohen and Everitt (1969), table 1: shares of 200 persons diagnosed by two clinicians.
CLINICIANS = np.array([[106, 10, 4], [22, 28, 10], [2, 12, 6]])

#: The worked example of Wikipedia, "Fleiss' kappa": ten subjects, 14 raters, five categories.
WIKIPEDIA = np.array(
    [
        [0, 0, 0, 0, 14],
        [0, 2, 6, 4, 2],
        [0, 0, 3, 5, 6],
        [0, 3, 9, 2, 0],
        [2, 2, 8, 1, 1],
        [7, 7, 0, 0, 0],
        [3, 2, 6, 3, 0],
        [2, 5, 3, 2, 2],
        [6, 5, 2, 1, 0],
        [0, 2, 2, 3, 7],
    ]
)


def diagnoses():
    """Return the counts of Fleiss' example, shape (30, 5)."""
    labels = np.array([[int(digit) for digit in word] for word in DIAGNOSES.split()])
    return rating_counts(labels, categories=[1, 2, 3, 4, 5])


def test_icc_and_its_interval_are_those_of_the_published_example():
    """Shrout and Fleiss give 0.29; R's irr and pingouin give 0.019 to 0.761 for their data."""
    found = icc_2_1(SHROUT_FLEISS)

    assert found.value == pytest.approx(0.29, abs=0.001)
    assert (found.low, found.high) == pytest.approx((0.019, 0.761), abs=0.001)


def test_raters_who_say_the_same_agree_perfectly():
    """Without error or offset there is no room for an interval."""
    found = icc_2_1(np.array([[1, 1], [3, 3], [5, 5]]))

    assert (found.value, found.low, found.high) == (1, 1, 1)


def test_icc_needs_ratings_that_vary_and_are_there():
    """Equal ratings share no variance; an absent one leaves a hole in the table."""
    with pytest.raises(ValueError, match="all ratings are equal"):
        icc_2_1(np.ones((4, 3)))
    with pytest.raises(ValueError, match="every subject by every rater"):
        icc_2_1(np.array([[1, 2], [3, np.nan]]))


def test_icc_interval_covers_the_truth():
    """Variances 2, 0.5, 1 of subjects, raters and error: ICC 4/7, held by most intervals."""
    held = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        subjects, raters = rng.normal(size=(30, 1)) * 2**0.5, rng.normal(size=(1, 8)) * 0.5**0.5
        found = icc_2_1(subjects + raters + rng.normal(size=(30, 8)))
        held += found.low <= 4 / 7 <= found.high

    assert held >= 52  # 57 expected; fewer than 52 of 60 has a chance below 1 %


def test_kappa_of_many_raters_is_that_of_the_published_example():
    """Fleiss (1971): shares .144 .144 .167 .306 .239, kappa 0.430."""
    counts = diagnoses()

    assert counts.sum(axis=0) / 180 == pytest.approx([0.144, 0.144, 0.167, 0.306, 0.239], abs=6e-4)
    assert fleiss_kappa(counts).value == pytest.approx(0.430, abs=0.0005)


def test_kappa_of_the_encyclopedia():
    """Wikipedia works its example to 0.210."""
    assert fleiss_kappa(WIKIPEDIA).value == pytest.approx(0.210, abs=0.0005)


def test_interval_of_kappa_is_that_of_drawing_the_subjects_again():
    """The large-sample interval and a bootstrap of the patients have nearly the same width."""
    counts, rng = diagnoses(), np.random.default_rng(0)
    draws = [fleiss_kappa(counts[rng.integers(30, size=30)]).value for _ in range(800)]

    found = fleiss_kappa(counts)

    low, high = np.percentile(draws, [2.5, 97.5])
    assert found.high - found.low == pytest.approx(high - low, rel=0.1)


def test_kappa_by_hand():
    """Two raters, four subjects: Po = 3/4, shares 5/8 and 3/8, Pe = 34/64, kappa = 7/15."""
    assert fleiss_kappa(np.array([[2, 0], [2, 0], [0, 2], [1, 1]])).value == pytest.approx(7 / 15)


def test_kappa_refuses_what_it_cannot_judge():
    """Subjects with another number of raters, and ratings without any variety."""
    with pytest.raises(ValueError, match="same number for every subject"):
        fleiss_kappa(np.array([[3, 0], [1, 1]]))
    with pytest.raises(ValueError, match="one category"):
        fleiss_kappa(np.array([[3, 0], [3, 0]]))
    with pytest.raises(ValueError, match="none of the categories"):
        rating_counts(np.array([["real", "fake"]]), categories=["real", "synthetic"])


def test_kappa_of_two_raters_is_that_of_the_published_example():
    """Fleiss, Cohen and Everitt: kappa 0.429, standard error 0.054; 0.429 -+ 1.96 * 0.0537."""
    found = cohen_kappa(CLINICIANS)

    assert found.value == pytest.approx(0.429, abs=0.0005)
    assert (found.low, found.high) == pytest.approx((0.3233, 0.5338), abs=0.0005)


@pytest.mark.parametrize(
    ("weight", "expected"),
    [
        (DisagreementWeight.LINEAR, (0.49231, 0.39290, 0.59171)),
        (DisagreementWeight.QUADRATIC, (0.56667, 0.45756, 0.67577)),
    ],
)
def test_weighted_kappa_is_that_of_statsmodels(weight, expected):
    """`cohens_kappa(table, wt=...)` of statsmodels 0.15 gives value and interval."""
    found = cohen_kappa(CLINICIANS, weight=weight)

    assert (found.value, found.low, found.high) == pytest.approx(expected, abs=1e-5)


def test_a_table_counts_pairs_of_labels():
    """Rows are the first rater's, columns the second's; unknown labels are refused."""
    table = agreement_table("aabb", "abbb", categories="ab")

    assert table.tolist() == [[1, 1], [0, 2]]
    with pytest.raises(ValueError, match="is none of"):
        agreement_table("a", "c", categories="ab")


def test_two_raters_of_one_category_have_no_kappa():
    """By chance alone they would always agree."""
    with pytest.raises(ValueError, match="one category only"):
        cohen_kappa(np.array([[7, 0], [0, 0]]))
