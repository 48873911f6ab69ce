"""Statistics of the scans behind a model, and their place on the card."""

import dataclasses
import json

import numpy as np
import pytest

from pipeline.card_json import card_from_json, card_to_json
from pipeline.errors import ModelBundleError
from pipeline.model_card import CARD_FORMAT, ModelCard
from pipeline.scan_kinds import UNKNOWN, kernel_kind, manufacturer_kind, thickness_kind
from pipeline.training_statistics import (
    Distribution,
    Kinds,
    Measure,
    TrainingStatistics,
    Trait,
    distribution_of,
    kinds_of,
)

STATISTICS = TrainingStatistics(
    cohort="tests",
    measures={Measure.HE_PROBABILITY: distribution_of([0.1, 0.5, 0.9])},
    traits={Trait.MANUFACTURER: kinds_of(["Siemens", "GE", "Siemens"])},
)
CARD = ModelCard(
    name="toy",
    version="1",
    task="classification",
    architecture="vit",
    architecture_arguments={},
    window=(40.0, 80.0),
    input_size=32,
    class_names=("HE", "NHE"),
    threshold=0.4,
    training_statistics=STATISTICS,
    training_cohort="none",
    licence="Apache-2.0",
    intended_use="tests",
    demonstration=True,
    weights_sha256="ab" * 32,
)


def test_a_card_keeps_its_statistics():
    """What was stated is read again."""
    assert card_from_json(card_to_json(CARD), where="card.json") == CARD


def test_a_card_of_format_5_has_no_statistics():
    """Format 5 did not know them; everything else is as it was."""
    old = json.loads(card_to_json(CARD)) | {"card_format": 5}
    del old["training_statistics"]

    read = card_from_json(json.dumps(old), where="card.json")

    assert read == dataclasses.replace(CARD, training_statistics=None)
    assert read.card_format == CARD_FORMAT


@pytest.mark.parametrize(
    "change",
    [
        {"cohort": ""},
        {"measures": {}, "traits": {}},
        {"measures": {"weight": {"cases": 1, "quantiles": [0.0] * 21}}},
        {"measures": {"volume_ml": {"cases": 1, "quantiles": [0.0] * 20}}},
        {"measures": {"volume_ml": {"cases": 0, "quantiles": [0.0] * 21}}},
        {"measures": {"volume_ml": {"cases": 1, "quantiles": [*range(20), 3.0]}}},
        {"traits": {"kernel": {"cases": 4, "shares": {"H30": 0.4}}}},
        {"traits": {"kernel": {"cases": 4, "shares": {}}}},
        {"traits": {"kernel": {"cases": 4, "shares": {"H30": 1.0}, "more": 1}}},
    ],
)
def test_impossible_statistics_are_refused(change):
    """The message names the file; the card is not read halfway."""
    content = json.loads(card_to_json(CARD))
    content["training_statistics"] |= change

    with pytest.raises(ModelBundleError, match=r"card\.json"):
        card_from_json(json.dumps(content), where="card.json")


def test_quantiles_are_those_of_numpy():
    """Every 5 %, ends included: of 0 to 100 they are 0, 5, 10 and so on."""
    found = distribution_of([float(value) for value in np.random.default_rng(0).permutation(101)])

    assert found == Distribution(cases=101, quantiles=tuple(5.0 * step for step in range(21)))


def test_the_commonest_kind_comes_first():
    """Two of three, then one of three."""
    assert kinds_of(["b", "a", "a"]) == Kinds(cases=3, shares={"a": 0.66667, "b": 0.33333})
    assert list(kinds_of(["b", "a", "a"]).shares) == ["a", "b"]


@pytest.mark.parametrize("make", [distribution_of, kinds_of])
def test_nothing_has_no_statistics(make):
    """Of no case there is no distribution."""
    with pytest.raises(ValueError, match="at least one"):
        make([])


@pytest.mark.parametrize(
    ("written", "kind"),
    [
        ("SIEMENS", "Siemens"),
        ("Siemens Healthineers", "Siemens"),
        ("GE MEDICAL SYSTEMS", "GE"),
        ("Philips Medical Systems", "Philips"),
        ("TOSHIBA", "Canon"),
        ("Canon Medical Systems", "Canon"),
        ("Wedge Imaging", "WEDGE IMAGING"),
        ("", UNKNOWN),
        (None, UNKNOWN),
        ("x" * 80, "X" * 32),
    ],
)
def test_a_vendor_has_one_name(written, kind):
    """Companies were renamed, scanners stay; an unknown maker keeps his name."""
    assert manufacturer_kind(written) == kind


@pytest.mark.parametrize(
    ("thickness_mm", "kind"),
    [
        (0.625, "to 1.5 mm"),
        (2.5, "1.5-3.5 mm"),
        (5.0, "3.5-5.5 mm"),
        (8.0, "above 5.5 mm"),
        (None, UNKNOWN),
        (0.0, UNKNOWN),
    ],
)
def test_usual_thicknesses_fall_into_different_kinds(thickness_mm, kind):
    """Thin, middle, classical 5 mm, thick."""
    assert thickness_kind(thickness_mm) == kind


def test_of_several_kernels_the_first_counts():
    """Convolution Kernel of Siemens has two values: kernel and enhancement."""
    assert kernel_kind("j37s\\2") == "J37S"
    assert kernel_kind(None) == UNKNOWN
