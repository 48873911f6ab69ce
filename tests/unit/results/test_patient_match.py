"""Whether two series are of one patient."""

import pytest
from pydicom.dataset import Dataset

from dicom_node.results.patient_match import match_patients

KNOWN = {
    "PatientID": "4711",
    "IssuerOfPatientID": "WARD",
    "PatientBirthDate": "19340217",
    "PatientSex": "F",
}


def patient(**changed):
    header = Dataset()
    for keyword, value in (KNOWN | changed).items():
        if value is not None:
            setattr(header, keyword, value)
    return header


def qualified(**said):
    item = Dataset()
    for keyword, value in said.items():
        setattr(item, keyword, value)
    header = patient()
    header.IssuerOfPatientIDQualifiersSequence = [item]
    return header


def test_equal_identifiers_are_one_patient():
    """Padding and the name do not matter."""
    other = patient(PatientID=" 4711 ", PatientName="MARRIED^SINCE")

    match = match_patients(patient(PatientName="MAIDEN^NAME"), other)

    assert match.is_one_patient
    assert match.reason == ""


@pytest.mark.parametrize(
    ("keyword", "value", "name"),
    [
        ("PatientID", "4712", "Patient ID"),
        ("IssuerOfPatientID", "OTHER WARD", "Issuer of Patient ID"),
        ("PatientBirthDate", "19340218", "Patient's Birth Date"),
        ("PatientSex", "M", "Patient's Sex"),
    ],
)
def test_each_contradiction_is_refused_by_its_name(keyword, value, name):
    """The reason names the attribute and no value of it."""
    match = match_patients(patient(), patient(**{keyword: value}))

    assert not match.is_one_patient
    assert match.differing == (name,)
    assert match.reason == f"{name} of the two series differ"
    assert value not in match.reason.split()
    assert KNOWN[keyword] not in match.reason.split()


def test_the_issuers_qualifiers_must_not_contradict():
    """The same number of two hospitals is not the same patient."""
    first = qualified(UniversalEntityID="1.2.3", UniversalEntityIDType="ISO")
    second = qualified(UniversalEntityID="1.2.4", UniversalEntityIDType="ISO")

    assert match_patients(first, second).differing == ("Issuer of Patient ID Qualifiers",)
    assert match_patients(first, first).is_one_patient
    assert match_patients(first, patient()).is_one_patient


@pytest.mark.parametrize("keyword", ["IssuerOfPatientID", "PatientBirthDate", "PatientSex"])
def test_absent_on_both_is_no_objection(keyword):
    """De-identified series often lack one of them."""
    match = match_patients(patient(**{keyword: None}), patient(**{keyword: ""}))

    assert match.is_one_patient


@pytest.mark.parametrize("keyword", ["IssuerOfPatientID", "PatientSex"])
def test_absent_on_one_is_accepted_with_two_identifiers(keyword):
    """An archive adds an issuer that a scanner does not write; number and birth date agree."""
    assert match_patients(patient(**{keyword: None}), patient()).is_one_patient


@pytest.mark.parametrize("keyword", ["IssuerOfPatientID", "PatientSex"])
def test_absent_on_one_is_refused_without_a_birth_date(keyword):
    """One identifier alone, and a doubt beside it, is too little."""
    first, second = patient(PatientBirthDate=None), patient(PatientBirthDate=None, **{keyword: ""})

    assert match_patients(first, second).missing == ("Patient's Birth Date",)


def test_a_birth_date_on_one_is_refused():
    """It is what uncovers a mistyped number; who typed the number left it out."""
    assert match_patients(patient(), patient(PatientBirthDate="")).missing == (
        "Patient's Birth Date",
    )


@pytest.mark.parametrize("second", [{}, {"PatientID": ""}])
def test_without_a_patient_id_nobody_is_known(second):
    """Two series without a number are not of one patient, as far as anybody can tell."""
    match = match_patients(patient(PatientID=""), patient(**second))

    assert match.missing == ("Patient ID",)
    assert match.reason == "Patient ID must be known of both series and is not"
