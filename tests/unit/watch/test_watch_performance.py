"""Scores of predictions against published examples, hand counts and scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss
from watch_builder import pairs

from dicom_node.watch.outcomes import follow
from dicom_node.watch.performance import performance_of
from dicom_node.watch.rules import WatchRules
from dicom_node.watch.sample_size import MOST, auc_sd, cases_for_share, patients_for_auc
from pipeline.statistics.confusion import DiagnosticMeasure

RULES = WatchRules()

#: Readings of 109 CT images on a scale of five, 58 normal and 51 abnormal: J. A. Hanley, B. J.
#: McNeil, Radiology 143 (1982) 29-36, table I.
NORMAL, ABNORMAL = (33, 6, 6, 11, 2), (3, 2, 2, 11, 33)


def scored(told, expanded):
    """Return the performance of the only version."""
    (found,) = follow(pairs(told, expanded), RULES).values()
    return performance_of(found.outcomes, RULES)


def hanley_mcneil():
    """Return the readings as probabilities 0.1, 0.3 and so on, with the truth."""
    told, truth = [], []
    for reading, (normal, abnormal) in enumerate(zip(NORMAL, ABNORMAL, strict=True)):
        told += [0.1 + 0.2 * reading] * (normal + abnormal)
        truth += [False] * normal + [True] * abnormal
    return told, truth


def test_auc_of_the_published_example():
    """Stata's manual (roctab) gives 0.8932 with 0.83295-0.95339 by DeLong for these readings."""
    found = scored(*hanley_mcneil())

    assert (found.pairs, found.expansions) == (109, 51)
    assert found.auc is not None
    assert (found.auc.value, found.auc.low, found.auc.high) == pytest.approx(
        (0.8932, 0.83295, 0.95339), abs=5e-5
    )


def test_shares_of_the_published_example():
    """Counted in table I, the middle reading and those above called abnormal."""
    found = scored(*hanley_mcneil())
    (card,) = found.points

    assert card.confusion.share(DiagnosticMeasure.SENSITIVITY) == (46, 51)
    assert card.confusion.share(DiagnosticMeasure.SPECIFICITY) == (39, 58)
    assert card.confusion.share(DiagnosticMeasure.PPV) == (46, 65)
    assert card.confusion.share(DiagnosticMeasure.NPV) == (39, 44)


def test_brier_is_that_of_scikit_learn():
    """An independent implementation has the same mean."""
    told, truth = hanley_mcneil()

    found = scored(told, truth)

    assert found.brier is not None
    assert found.brier.value == pytest.approx(brier_score_loss(truth, told))
    assert found.brier.low < found.brier.value < found.brier.high


def test_standard_error_of_the_published_example():
    """Hanley and McNeil, table II: area 0.893 with 51 abnormal and 58 normal has SE 0.032."""
    assert auc_sd(0.893, positives=51, negatives=58) == pytest.approx(0.032, abs=6e-4)


def test_the_interval_of_so_many_patients_is_as_wide_as_wished():
    """One patient fewer is too few, by the formula of the standard error."""
    patients = patients_for_auc(0.8, share=0.25, width=0.1)

    def width(count):
        return 2 * 1.959964 * auc_sd(0.8, positives=count * 0.25, negatives=count * 0.75)

    assert width(patients) <= 0.1 < width(patients - 1)


def test_cases_for_ten_points_by_hand():
    """At a half: half width^2 = z^2 / 4 / (n + z^2), so n = 1.96^2 / 4 / 0.01 - 1.96^2 = 92.2."""
    assert cases_for_share(0.5, half_width=0.1) == 93


def test_a_wish_that_no_site_can_fulfil_has_an_end():
    """An interval without width needs endless patients."""
    assert patients_for_auc(0.8, share=0.25, width=0.0) == MOST


def test_needs_count_what_is_there():
    """With 109 patients, 93 abnormal ones take 93 / (51 / 109) = 199 patients, 90 more."""
    found = scored(*hanley_mcneil())

    sensitivity = found.needs[1]
    assert (sensitivity.patients, sensitivity.more) == (199, 90)
    assert "10 points" in sensitivity.wish


@pytest.mark.parametrize(
    ("told", "truth", "remark"),
    [
        ([], [], "No patient has an outcome yet"),
        ([0.2, 0.4, 0.9], [False] * 3, "No hematoma expanded"),
        ([0.2, 0.4, 0.9], [True] * 3, "All hematomas expanded"),
        ([0.2, 0.4, 0.9], [False, True, False], "seen once only"),
        ([0.1, 0.2, 0.8, 0.9], [False, False, True, True], "without a fault"),
    ],
)
def test_no_auc_is_told_that_nobody_can_know(told, truth, remark):
    """One outcome, a single case of it, or a ranking without a fault: words instead."""
    found = scored(told, truth) if told else performance_of((), RULES)

    assert found.auc is None
    assert remark in " ".join(found.remarks)
    assert all(need.more > 0 for need in found.needs)


def test_few_patients_are_told_to_be_few():
    """Two expansions among twelve: an AUC with an interval that is called rough."""
    told = np.linspace(0.1, 0.9, 12)
    truth = [number in {5, 11} for number in range(12)]

    found = scored(told.tolist(), truth)

    assert found.auc is not None
    assert "rough" in " ".join(found.remarks)


def test_many_patients_need_no_remark():
    """With 150 of each outcome nothing is held back."""
    rng = np.random.default_rng(0)
    told = rng.random(300)
    truth = rng.permutation(np.arange(300) < 150)

    assert scored(told.tolist(), truth).remarks == ()


def test_reliability_has_ten_patients_a_group():
    """Of 47 patients four groups are made; together they hold everybody."""
    rng = np.random.default_rng(1)
    told = rng.random(47)

    found = scored(told.tolist(), rng.random(47) < told)

    assert len(found.reliability) == 4
    assert sum(group.cases for group in found.reliability) == 47
