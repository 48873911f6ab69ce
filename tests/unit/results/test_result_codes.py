"""Coded concepts are those of the standard, and our own are well formed."""

import re

import pytest
from pydicom.sr import _cid_dict, _concepts_dict
from pydicom.sr.coding import Code

from dicom_node.results import codes, comparison_wording
from dicom_node.results.comparison_record import Definition
from pipeline.expansion import Criterion
from pipeline.finding import Compartment
from pipeline.follow_up.flags import FollowUpFlag
from pipeline.prediction import HeLabel
from pipeline.quality_flags import QualityFlag


def all_codes():
    found = []
    for value in vars(codes).values():
        members = value.values() if isinstance(value, dict) else value
        if isinstance(value, Code):
            found.append(value)
        elif isinstance(value, dict | tuple):
            found += [member for member in members if isinstance(member, Code)]
    return found


PRIVATE = [c for c in all_codes() if c.scheme_designator == codes.PRIVATE_SCHEME]
#: Correct, but in no context group that pydicom carries, so that its dictionary lacks them.
OUTSIDE_DICTIONARY = {"274100004", "260753009", "{pixels}", "{-1:1}", "{slices}", "125007"}
#: Cerebral edema; read in several public code lists.
OUTSIDE_DICTIONARY |= {"2032001"}
STANDARD = [
    c
    for c in all_codes()
    if c.scheme_designator in ("DCM", "SCT", "IBSI", "UCUM") and c.value not in OUTSIDE_DICTIONARY
]


def meanings(code):
    """Return all meanings that pydicom's dictionary of PS3.16 gives to a code value."""
    found = set()
    for entries in _concepts_dict.concepts[code.scheme_designator].values():
        if code.value in entries:
            found.add(entries[code.value][0].casefold())
    return found


@pytest.mark.parametrize("code", STANDARD, ids=lambda code: f"{code.value}")
def test_standard_codes_mean_what_the_standard_says(code):
    """Value and meaning agree with the dictionary of PS3.16 that pydicom carries."""
    assert code.meaning.casefold() in meanings(code)


@pytest.mark.parametrize("code", all_codes(), ids=lambda code: f"{code.value}")
def test_codes_fit_their_value_representations(code):
    """Code Value and scheme are SH (16 characters), Code Meaning is LO (64)."""
    assert 1 <= len(code.value) <= 16
    assert 1 <= len(code.scheme_designator) <= 16
    assert 1 <= len(code.meaning) <= 64
    assert code.meaning.isascii()


def test_private_codes_are_distinct():
    """One value, one meaning, within the private scheme."""
    assert len({code.value for code in PRIVATE}) == len(PRIVATE)
    assert len({code.meaning for code in PRIVATE}) == len(PRIVATE)


def test_the_private_scheme_is_identified():
    """A private designator begins with 99 and has a UID derived from a UUID."""
    assert codes.PRIVATE_SCHEME == "99HENODE"
    assert re.fullmatch(r"2\.25\.[1-9][0-9]{1,38}", codes.PRIVATE_SCHEME_UID)


def test_every_flag_and_label_has_a_code():
    """No flag and no label can be left out of a report."""
    assert set(codes.QUALITY_FLAG) == set(QualityFlag)
    assert set(codes.RISK_OF_LABEL) == set(HeLabel)
    assert set(codes.COMPARTMENT) == set(codes.COMPARTMENT_VOLUME) == set(Compartment)
    assert set(codes.FOLLOW_UP_FLAG) == set(comparison_wording.FLAG) == set(FollowUpFlag)
    assert set(codes.CRITERION) == set(comparison_wording.CRITERION) == set(Criterion)
    assert set(comparison_wording.SHORT_CRITERION) == set(Criterion)
    assert set(comparison_wording.SHORT_DEFINITION) == {each.value for each in Definition}


def test_answers_are_those_of_the_standard():
    """Present, Absent and Undetermined are the members of CID 240."""
    assert set(_cid_dict.cid_concepts[240]["SCT"]) == {
        code.meaning for code in (codes.PRESENT, codes.ABSENT, codes.UNDETERMINED)
    }
