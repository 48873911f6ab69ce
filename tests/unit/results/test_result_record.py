"""The record of an analysis has the agreed keys, JSON values and no patient."""

import json

import pytest
from result_cases import (
    PROBABILITIES,
    ball_mask,
    case_without_hematoma,
    context,
    doubting,
    hematoma_found,
)

from dicom_node.results.record import RecordStatus, analysis_record, rejection_record
from pipeline.quality_flags import QualityFlag
from pipeline.rejection import RejectionCode, RejectionReason

KEYS = {
    "series_instance_uid",
    "status",
    "reasons",
    "flags",
    "volume_ml",
    "mesh_volume_ml",
    "abc2_volume_ml",
    "volume_range_ml",
    "compartments_ml",
    "he_probability",
    "he_label",
    "slice_probabilities",
    "member_probabilities",
    "he_probability_spread",
    "familiarity",
    "operating_points",
    "forecast",
    "model",
    "seconds",
}
ADDED = {"research_use_only", "seconds_per_step"}
COMMON = {"series_instance_uid": "1.2.3", "steps_s": {"read": 0.5, "segment": 1.25}}
REASON = RejectionReason(code=RejectionCode.TOO_FEW_SLICES, found="3 slices", needed="at least 10")


@pytest.fixture(scope="module")
def case():
    return case_without_hematoma()


@pytest.fixture(scope="module")
def found(case):
    analysis = hematoma_found(ball_mask(case.volume), flags={QualityFlag.THICK_SLICES})
    return analysis_record(analysis, context=context(), **COMMON)


def test_a_hematoma_is_recorded(found):
    """Numbers of the analysis, label by name, probabilities inferior first."""
    assert set(found) == KEYS | ADDED
    assert found["status"] == "hematoma_found"
    assert found["flags"] == ["thick_slices"]
    assert found["reasons"] == []
    assert found["volume_ml"] == pytest.approx(33.51, rel=0.02)  # 4/3 pi 20^3 mm3
    assert found["slice_probabilities"] == list(PROBABILITIES)
    assert found["he_probability"] == pytest.approx((0.61 + 0.72 + 0.58) / 3, abs=1e-6)
    assert found["he_label"] == "HE"
    assert found["model"]["segmentation"]["name"] == "ich-seg"
    assert found["seconds"] == 1.75


def test_what_the_classifier_knows_of_its_doubt_is_recorded(case):
    """0.5 and 0.7 have an SD of 0.1; 1.25 times the limit of 8 is a distance of 10."""
    analysis = doubting(hematoma_found(ball_mask(case.volume)))

    record = analysis_record(analysis, context=context(), **COMMON)

    assert record["member_probabilities"] == [0.5, 0.7]
    assert record["he_probability_spread"] == pytest.approx(0.1)
    assert record["familiarity"] == {
        "distance": pytest.approx(10.0),
        "limit": 8.0,
        "limit_share": 0.95,
        "is_unfamiliar": True,
    }
    assert [(one["name"], one["he_label"]) for one in record["operating_points"]] == [
        ("sensitivity-90", "HE"),
        ("specificity-90", "NHE"),
    ]
    assert record["flags"] == ["unfamiliar"]


def test_one_network_without_a_limit_claims_no_doubt(found):
    """Nothing is null or empty by mistake: there was nothing to say."""
    assert found["he_probability_spread"] is None
    assert found["familiarity"] is None
    assert found["member_probabilities"] == found["operating_points"] == []


def test_no_hematoma_is_recorded(case):
    """No blood is 0 mL and no probability."""
    record = analysis_record(case.analysis, context=context(), **COMMON)

    assert set(record) == KEYS | ADDED
    assert record["status"] == "no_hematoma_found"
    assert (record["volume_ml"], record["he_probability"], record["he_label"]) == (0, None, None)
    assert record["flags"] == ["contrast_suspected"]


def test_a_rejection_is_recorded_with_its_reason():
    """What was not measured is None, not 0."""
    record = rejection_record(REASON, context=context(), **COMMON)

    assert set(record) == KEYS | ADDED
    assert record["status"] == "rejected"
    assert record["reasons"] == ["too_few_slices: found 3 slices; needed at least 10"]
    assert record["volume_ml"] is None


def test_records_are_json_and_say_research(found):
    """The way through JSON changes nothing."""
    assert json.loads(json.dumps(found)) == found
    assert found["research_use_only"].startswith("RESEARCH USE ONLY")


def test_the_statuses_are_those_of_the_interface():
    """Programs outside read these words."""
    assert {status.value for status in RecordStatus} == {
        "hematoma_found",
        "no_hematoma_found",
        "rejected",
    }
