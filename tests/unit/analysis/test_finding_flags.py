"""Which flags a finding raises, at which volumes, and which it cannot answer."""

import pytest

from pipeline.decision_limits import DECISION_LIMITS, limits_within
from pipeline.finding import Compartment, VolumeRange
from pipeline.finding_flags import (
    FINDING_FLAGS,
    MINIMUM_ML,
    answerable,
    assess_finding,
    assess_prediction,
    is_present,
)
from pipeline.prediction import HePrediction
from pipeline.quality_flags import QualityFlag

EXTRA_AXIAL, EDEMA, VENTRICLES = (
    Compartment.EXTRA_AXIAL,
    Compartment.EDEMA,
    Compartment.INTRAVENTRICULAR,
)


def flags(compartments_ml=None, *, has_hematoma=True, volume_range=None):
    return assess_finding(
        has_hematoma=has_hematoma,
        compartments_ml=compartments_ml or {},
        volume_range=volume_range,
    )


def test_every_compartment_has_a_least_volume():
    """No compartment is called present for a single voxel."""
    assert set(MINIMUM_ML) == set(Compartment)
    assert min(MINIMUM_ML.values()) > 0


@pytest.mark.parametrize(
    ("compartments_ml", "has_hematoma", "expected"),
    [
        ({}, True, set()),
        ({EXTRA_AXIAL: 0.99, VENTRICLES: 0.99}, True, set()),
        ({EXTRA_AXIAL: 1.0}, True, {QualityFlag.EXTRA_AXIAL_HEMORRHAGE}),
        ({EXTRA_AXIAL: 9.0}, False, {QualityFlag.EXTRA_AXIAL_HEMORRHAGE}),
        ({VENTRICLES: 1.0}, True, {QualityFlag.INTRAVENTRICULAR_EXTENSION}),
        ({VENTRICLES: 1.0}, False, {QualityFlag.PRIMARY_INTRAVENTRICULAR}),
        ({EDEMA: 80.0}, True, set()),
    ],
    ids=str,
)
def test_blood_elsewhere_is_flagged_from_its_least_volume_on(
    compartments_ml, has_hematoma, expected
):
    """1 mL of blood counts, 0.99 mL does not; oedema is no blood."""
    assert flags(compartments_ml, has_hematoma=has_hematoma) == expected


@pytest.mark.parametrize(
    ("low_ml", "high_ml", "open_ml"),
    [
        (20.0, 29.9, []),
        (20.0, 30.0, [30.0]),  # 30 mL counts as larger (ICH Score: >= 30 cm3)
        (30.0, 45.0, []),
        (29.0, 75.0, [30.0, 60.0]),
        (60.0, 90.0, []),
    ],
)
def test_a_limit_is_open_if_the_ends_fall_on_both_sides(low_ml, high_ml, open_ml):
    """The smallest volume of the range is below the limit and the largest is not."""
    volume_range = VolumeRange(low_ml=low_ml, high_ml=high_ml)

    assert [limit.volume_ml for limit in limits_within(volume_range)] == open_ml
    assert flags(volume_range=volume_range) == (
        {QualityFlag.VOLUME_UNCERTAIN} if open_ml else set()
    )


def test_limits_rise_and_name_who_asks_for_them():
    """Hemphill's 30 mL and Broderick's 60 mL."""
    assert [limit.volume_ml for limit in DECISION_LIMITS] == [30.0, 60.0]
    assert all(limit.source for limit in DECISION_LIMITS)


def test_what_a_network_does_not_know_it_does_not_answer():
    """Without compartments and range no flag of the finding can be denied."""
    everything = dict.fromkeys(Compartment, 0.0)
    volume_range = VolumeRange(low_ml=1.0, high_ml=2.0)

    assert answerable(has_hematoma=True, compartments_ml={}, volume_range=None) == frozenset()
    assert answerable(
        has_hematoma=True, compartments_ml=everything, volume_range=volume_range
    ) == frozenset(FINDING_FLAGS)
    assert QualityFlag.INTRAVENTRICULAR_EXTENSION not in answerable(
        has_hematoma=False, compartments_ml=everything, volume_range=None
    )


def test_presence_is_decided_in_one_place():
    """Reports and flags agree."""
    assert is_present(EXTRA_AXIAL, 1.0)
    assert not is_present(EXTRA_AXIAL, 0.99)


@pytest.mark.parametrize(
    ("unfamiliarity", "expected"),
    [(None, set()), (0.4, set()), (1.0, set()), (1.01, {QualityFlag.UNFAMILIAR})],
)
def test_a_patient_beyond_the_limit_is_unfamiliar(unfamiliarity, expected):
    """At the limit itself they are still familiar; a model without a limit says nothing."""
    prediction = HePrediction(
        slice_probabilities=(0.5,), threshold=0.5, unfamiliarity=unfamiliarity
    )

    assert assess_prediction(prediction) == expected
