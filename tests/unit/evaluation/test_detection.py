"""DeLong's covariance against its definition, and the comparison of two detectors."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from pipeline.statistics.delong import delong
from training.evaluation.detection import (
    LabelledSlices,
    compare_detectors,
    slice_auc,
    two_sided,
)


def scored(seed: int, *, count: int = 60, ties: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Return outcomes and two correlated scores."""
    rng = np.random.default_rng(seed)
    positive = np.arange(count) < count // 3
    common = rng.normal(size=count) + positive
    scores = np.stack([common + rng.normal(size=count), common + 2 * rng.normal(size=count)])
    return positive, np.round(scores) if ties else scores


def by_definition(positive, scores):
    """Return DeLong's covariance from the kernel of all pairs, as in eq. (3)-(6) of the paper."""
    hits, others = scores[:, positive], scores[:, ~positive]
    kernel = (hits[:, :, None] > others[:, None, :]) + 0.5 * (
        hits[:, :, None] == others[:, None, :]
    )
    m, n = kernel.shape[1:]
    aucs = kernel.mean(axis=(1, 2))
    covariance = np.zeros((len(scores), len(scores)))
    for r in range(len(scores)):
        for s in range(len(scores)):
            v10 = [kernel[k].mean(axis=1) - aucs[k] for k in (r, s)]
            v01 = [kernel[k].mean(axis=0) - aucs[k] for k in (r, s)]
            covariance[r, s] = (v10[0] * v10[1]).sum() / (m - 1) / m
            covariance[r, s] += (v01[0] * v01[1]).sum() / (n - 1) / n
    return aucs, covariance


@pytest.mark.parametrize("ties", [False, True])
def test_covariance_is_that_of_the_definition(ties):
    """Sorting gives what the kernel over all pairs gives."""
    positive, scores = scored(1, ties=ties)

    found = delong(positive, scores)

    aucs, covariance = by_definition(positive, scores)
    assert np.allclose(found.aucs, aucs)
    assert np.allclose(found.covariance, covariance)
    assert found.aucs[0] == pytest.approx(roc_auc_score(positive, scores[0]))


def test_covariance_of_a_hand_calculation():
    """Hits 3, 1 and others 2, 0: shares 1 and 1/2 both ways, variance 1/8 / 2 twice."""
    positive = np.array([True, True, False, False])

    found = delong(positive, np.array([[3.0, 1.0, 2.0, 0.0]]))

    assert found.aucs[0] == pytest.approx(0.75)
    assert found.covariance[0, 0] == pytest.approx(0.125)


def test_equal_detectors_are_called_different_in_five_percent():
    """Under the null hypothesis p < 0.05 occurs in 1 of 20 cohorts: 15 of 300 expected."""
    rejected = 0
    for seed in range(300):
        rng = np.random.default_rng(seed)
        positive = np.arange(80) < 40
        common = rng.normal(size=80) + positive
        scores = np.stack([common + rng.normal(size=80), common + rng.normal(size=80)])
        rejected += delong(positive, scores).p_value() < 0.05

    assert 5 <= rejected <= 27  # 99.9 % range of a binomial of 300 at 0.05


def test_spread_of_the_difference_is_what_delong_predicts():
    """Over many cohorts the difference of AUCs varies by the square root of its variance."""
    found = [delong(*scored(seed, count=120)) for seed in range(300)]

    differences = [item.aucs[0] - item.aucs[1] for item in found]
    predicted = np.mean([np.array([1, -1]) @ i.covariance @ np.array([1, -1]) for i in found])
    assert np.std(differences) == pytest.approx(np.sqrt(predicted), rel=0.12)


def test_interval_of_one_area_is_that_of_its_variance():
    """The published ViT-1:2, 112 of 513, has 0.793 (0.750-0.837): as wide as DeLong's here."""
    rng = np.random.default_rng(0)
    positive = np.arange(513) < 112
    scores = rng.normal(size=513) + 1.155 * positive  # an area of 0.793 in the long run

    found = delong(positive, scores[None]).interval()

    assert found.value == pytest.approx(delong(positive, scores[None]).aucs[0])
    assert found.high - found.low == pytest.approx(0.837 - 0.750, abs=0.012)


def test_identical_rankings_do_not_differ():
    """A scorer and its double have the same ROC curve; the p-value is 1, not undefined."""
    positive, scores = scored(2)
    found = delong(positive, np.stack([scores[0], 2 * scores[0]]))

    assert found.p_value() == 1.0
    assert found.difference().high == 0.0


def test_one_case_of_an_outcome_has_no_variance():
    """Two positives and two negatives are the least."""
    with pytest.raises(ValueError, match="two cases"):
        delong(np.array([True, False, False]), np.zeros((2, 3)))


def test_slices_of_one_patient_do_not_count_as_patients():
    """With every slice copied tenfold DeLong's p falls; that of drawn patients stays."""
    positive, scores = scored(3, count=45)
    names = tuple(str(number) for number in range(45))

    def compared(copies):
        return compare_detectors(
            LabelledSlices(positive=np.tile(positive, copies), patients=names * copies),
            np.tile(scores[0], copies),
            np.tile(scores[1], copies),
            draws=1000,
        )

    single, tenfold = compared(1), compared(10)
    assert tenfold.p_value == pytest.approx(single.p_value, abs=0.02)
    assert tenfold.delong_p_value < single.delong_p_value / 5
    assert tenfold.difference.value == pytest.approx(single.difference.value)
    assert (tenfold.slices, tenfold.positive_slices, tenfold.patients) == (450, 150, 45)


def test_independent_slices_give_both_tests_the_same_answer():
    """One slice a patient: the bootstrap's interval is that of DeLong."""
    positive, scores = scored(5, count=300)
    slices = LabelledSlices(positive=positive, patients=tuple(map(str, range(300))))

    found = compare_detectors(slices, scores[0], scores[1])

    expected = delong(positive, scores).difference()
    assert found.difference.low == pytest.approx(expected.low, abs=0.01)
    assert found.difference.high == pytest.approx(expected.high, abs=0.01)
    assert found.p_value == pytest.approx(found.delong_p_value, abs=0.02)


def test_comparison_is_antisymmetric():
    """Exchanging the detectors changes the sign and nothing else."""
    positive, scores = scored(7)
    slices = LabelledSlices(positive=positive, patients=tuple(map(str, range(60))))

    one = compare_detectors(slices, scores[0], scores[1], draws=300)
    other = compare_detectors(slices, scores[1], scores[0], draws=300)

    assert one.difference.value == pytest.approx(-other.difference.value)
    assert one.difference.low == pytest.approx(-other.difference.high)
    assert one.p_value == other.p_value
    assert one.first == slice_auc(slices, scores[0], draws=300)


def test_p_value_of_draws_is_never_zero():
    """A thousand draws on one side say p <= 1/1000, not p = 0."""
    assert two_sided(np.full(1000, 0.3)) == 0.001
    assert two_sided(np.array([-1.0, 1.0, 2.0, 3.0])) == 0.5


@pytest.mark.parametrize(
    ("positive", "patients", "message"),
    [
        ([True, False], ("a",), "as many patients"),
        ([True, True], ("a", "b"), "both outcomes"),
    ],
)
def test_impossible_slices_are_refused(positive, patients, message):
    """Slices need a patient each and both outcomes."""
    with pytest.raises(ValueError, match=message):
        LabelledSlices(positive=np.array(positive), patients=patients)


def test_scores_must_fit_the_slices():
    """Two slices, but three scores."""
    slices = LabelledSlices(positive=np.array([True, False]), patients=("a", "b"))
    with pytest.raises(ValueError, match="2 slices, but 3 and 2 scores"):
        compare_detectors(slices, np.zeros(3), np.zeros(2))
