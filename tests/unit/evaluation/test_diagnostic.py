"""Shares of calls against the npj study's table 3, textbook intervals and hand counts."""

import numpy as np
import pytest

from pipeline.statistics.confusion import Confusion, DiagnosticMeasure, confusion_of
from pipeline.statistics.proportion import wilson
from training.evaluation.diagnostic import diagnose


def external_set_1():
    """Return outcomes and calls of ViT-1:2: 74 of 112 HE and 309 of 401 NHE called rightly."""
    positive = np.arange(513) < 112
    called = np.concatenate([np.arange(112) < 74, np.arange(401) >= 309])
    return positive, called


@pytest.mark.parametrize(
    ("count", "total", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0, 0.1611)],
)
def test_wilson_interval_is_that_of_the_textbook(count, total, low, high):
    """Newcombe, Stat. Med. 17 (1998) 857-872, table I, method 3."""
    found = wilson(count, total)

    assert (found.low, found.high) == pytest.approx((low, high), abs=5e-5)


def test_wilson_refuses_what_is_no_share():
    """Neither of nothing nor more than all."""
    for count, total in ((0, 0), (3, 2)):
        with pytest.raises(ValueError, match="is no share"):
            wilson(count, total)


@pytest.mark.parametrize(
    ("measure", "value", "low", "high"),
    [
        (DiagnosticMeasure.ACCURACY, 0.747, 0.709, 0.784),
        (DiagnosticMeasure.SENSITIVITY, 0.661, 0.573, 0.748),
        (DiagnosticMeasure.SPECIFICITY, 0.771, 0.729, 0.812),
        (DiagnosticMeasure.NPV, 0.890, 0.858, 0.923),
        (DiagnosticMeasure.PPV, 0.446, 0.370, 0.521),
    ],
)
def test_measures_are_those_of_the_published_table(measure, value, low, high):
    """Table 3, external validation set 1, ViT-1:2; drawing patients gives its intervals."""
    positive, called = external_set_1()

    found = diagnose(
        positive,
        called,
        patients=[str(n) for n in range(513)],
        rng=np.random.default_rng(0),
        draws=4000,
    ).shares[measure]

    assert found.count / found.total == pytest.approx(value, abs=6e-4)
    assert (found.bootstrap.low, found.bootstrap.high) == pytest.approx((low, high), abs=0.006)
    assert (found.wilson.low, found.wilson.high) == pytest.approx((low, high), abs=0.012)


def test_cases_of_one_patient_are_drawn_together():
    """Ten copies of each case narrow Wilson's interval, not that over patients."""
    positive, called = np.arange(40) < 20, np.arange(40) % 3 == 0

    def both(copies):
        return diagnose(
            np.tile(positive, copies),
            np.tile(called, copies),
            patients=[str(n) for n in range(40)] * copies,
            rng=np.random.default_rng(1),
        ).shares[DiagnosticMeasure.ACCURACY]

    one, ten = both(1), both(10)
    assert ten.bootstrap == one.bootstrap
    assert ten.wilson.high - ten.wilson.low < 0.4 * (one.wilson.high - one.wilson.low)


def test_nobody_called_leaves_no_predictive_value():
    """A share of nothing is absent, not zero."""
    found = diagnose(
        np.array([True, False]),
        np.array([False, False]),
        patients=["a", "b"],
        rng=np.random.default_rng(0),
    ).shares

    ppv = found[DiagnosticMeasure.PPV]
    assert (ppv.total, ppv.wilson, ppv.bootstrap) == (0, None, None)
    assert found[DiagnosticMeasure.NPV].wilson.value == pytest.approx(0.5)


def test_the_table_counts_each_kind():
    """One case of each kind but two missed ones."""
    positive = np.array([True, True, True, False, False])
    called = np.array([True, False, False, True, False])

    assert confusion_of(positive, called) == Confusion(
        true_positives=1, false_positives=1, true_negatives=1, false_negatives=2
    )
    with pytest.raises(ValueError, match="cannot be compared"):
        confusion_of(positive, called[:2])
    with pytest.raises(ValueError, match="as many patients"):
        diagnose(positive, called, patients=["a"], rng=np.random.default_rng(0))
