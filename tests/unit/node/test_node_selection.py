"""Which series of a study is analysed."""

from dataclasses import replace

import pytest
from pydicom.uid import CTImageStorage, SecondaryCaptureImageStorage

from dicom_node.intake.default_rules import DEFAULT_RULES
from dicom_node.intake.instance import SeriesAttributes
from dicom_node.intake.selection import (
    Candidate,
    Preference,
    SelectionRules,
    SeriesAttribute,
    TextRule,
    select,
)

BRAIN = SeriesAttributes(
    modality="CT",
    sop_class_uid=str(CTImageStorage),
    image_type="ORIGINAL\\PRIMARY\\AXIAL",
    description="HEAD 5.0 H31s",
    body_part="HEAD",
    kernel="H31s",
    slice_thickness_mm=5.0,
)
AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def candidate(uid="1", *, slices=30, orientation=AXIAL, **attributes):
    return Candidate(
        series_instance_uid=uid,
        attributes=replace(BRAIN, **attributes),
        orientation=orientation,
        slices=slices,
    )


def refusal(one, rules=DEFAULT_RULES):
    return select([one], rules).refused[one.series_instance_uid].reason


def test_a_plain_head_is_chosen():
    """The usual case."""
    assert list(select([candidate()], DEFAULT_RULES).chosen) == ["1"]


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        ({}, {"kernel": "H60s", "description": "HEAD 1.5 BONE"}),
        ({"kernel": "STANDARD"}, {"kernel": "BONEPLUS"}),
        ({"kernel": "FC21"}, {"kernel": "FC30"}),
        ({"kernel": "UB"}, {"kernel": "D"}),
        ({}, {"slice_thickness_mm": 0.6}),
        ({}, {"image_type": "DERIVED\\SECONDARY\\REFORMATTED"}),
        ({}, {"body_part": "", "description": "5.0"}),
    ],
)
def test_brain_kernels_and_thick_originals_come_first(better, worse):
    """The order of arrival does not matter, the outranked series may step in later."""
    first, second = candidate("better", **better), candidate("worse", **worse)

    for pair in ([first, second], [second, first]):
        selection = select(pair, DEFAULT_RULES)
        assert list(selection.chosen) == ["better"]
        assert selection.refused["worse"].eligible
        assert "rank 2 of 2" in selection.refused["worse"].reason


@pytest.mark.parametrize(
    ("one", "word"),
    [
        (candidate(sop_class_uid=str(SecondaryCaptureImageStorage)), "no CT"),
        (candidate(image_type="ORIGINAL\\PRIMARY\\LOCALIZER"), "excluded by rule"),
        (candidate(description="Dose Report"), "excluded by rule"),
        (candidate(description="CTA head"), "excluded by rule"),
        (candidate(body_part="CHEST"), "excluded by rule"),
        (candidate(contrast_agent="IOMERON"), "contrast"),
        (candidate(orientation=(0.0, 1.0, 0.0, 0.0, 0.0, -1.0)), "not axial: 90 degrees"),
        (candidate(slice_thickness_mm=12.0), "12 mm thick"),
        (candidate(slices=3), "3 slices, at least 10"),
    ],
)
def test_what_cannot_be_analysed_says_why(one, word):
    """The reason names the thing, the value found and the value needed."""
    assert word in refusal(one)
    assert not select([one], DEFAULT_RULES).refused["1"].eligible


def test_every_reason_is_kept():
    """A series with two faults shows both."""
    assert "; " in refusal(candidate(slices=2, contrast_agent="IOMERON"))


def test_gantry_tilt_is_still_axial():
    """30 degrees is the most that a gantry tilts."""
    tilted = (1.0, 0.0, 0.0, 0.0, 0.8660254, -0.5)

    assert select([candidate(orientation=tilted)], DEFAULT_RULES).chosen


def test_every_candidate_has_an_outcome():
    """Nothing is forgotten, nothing is decided twice."""
    many = [candidate(str(number), slices=number) for number in range(1, 30)]

    selection = select(many, DEFAULT_RULES)

    assert set(selection.chosen) | set(selection.refused) == {str(n) for n in range(1, 30)}
    assert not set(selection.chosen) & set(selection.refused)


def test_a_place_that_is_taken_stays_taken():
    """One series per study, counted over its whole life."""
    selection = select([candidate()], DEFAULT_RULES, already_chosen=1)

    assert selection.refused["1"].eligible
    assert "chosen before" in selection.refused["1"].reason


def test_rules_are_data():
    """A site includes, prefers and counts in its own words."""
    rules = SelectionRules(
        include=(TextRule(attribute=SeriesAttribute.PROTOCOL, pattern="stroke"),),
        prefer=(
            Preference(
                rule=TextRule(attribute=SeriesAttribute.STATION, pattern="^CT2$"), points=1
            ),
        ),
        series_per_study=2,
    )
    series = [
        candidate("a", protocol="Stroke"),
        candidate("b", protocol="STROKE", station="CT2"),
        candidate("c", protocol="stroke"),
        candidate("d", protocol="trauma"),
    ]

    selection = select(series, rules)

    assert list(selection.chosen) == ["b", "a"]
    assert selection.refused["c"].eligible
    assert selection.refused["d"].reason == "no rule includes it"


def test_a_faulty_pattern_is_named():
    """A typing error in the configuration is found when it is read."""
    with pytest.raises(ValueError, match=r"'\(' is no regular expression"):
        TextRule(attribute=SeriesAttribute.KERNEL, pattern="(")


@pytest.mark.parametrize(
    "wrong",
    [
        {"minimum_slices": 0},
        {"series_per_study": 0},
        {"maximum_thickness_mm": 0},
        {"preferred_thickness_mm": (5.0, 2.0)},
    ],
)
def test_rules_without_sense_cannot_be_built(wrong):
    """Each number has a bound."""
    with pytest.raises(ValueError, match="must"):
        SelectionRules(**wrong)


def test_every_attribute_of_a_rule_exists():
    """A rule can be written for each, and each is a text of the series."""
    for attribute in SeriesAttribute:
        assert isinstance(getattr(BRAIN, attribute.value), str)
