"""What results inherit of patient and study."""

from copy import deepcopy
from typing import Final

from pydicom.dataset import Dataset
from pydicom.valuerep import DA, TM

#: Type 1 and 2 attributes of the Patient and General Study modules (PS3.3, C.7.1.1 and
#: C.7.2.1); written empty where the source has none.
REQUIRED_OF_PATIENT_AND_STUDY: Final = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyInstanceUID",
    "StudyDate",
    "StudyTime",
    "ReferringPhysicianName",
    "StudyID",
    "AccessionNumber",
)
#: What else of patient and study is copied where the source has it.
COPIED_OF_PATIENT_AND_STUDY: Final = (
    "IssuerOfPatientID",
    "IssuerOfPatientIDQualifiersSequence",
    "PatientBirthTime",
    "OtherPatientIDsSequence",
    "PatientIdentityRemoved",
    "DeidentificationMethod",
    "DeidentificationMethodCodeSequence",
    "StudyDescription",
    "IssuerOfAccessionNumberSequence",
    "PatientAge",
    "PatientSize",
    "PatientWeight",
    "TimezoneOffsetFromUTC",
)
_SEXES: Final = ("M", "F", "O", "")
#: PS3.3, C.7.1.1 demands a method where identity was removed; some sources leave it empty.
METHOD_NOT_STATED: Final = "Not stated by the source"


def patient_and_study(header: Dataset) -> Dataset:
    """Return a copy of patient and study, ready to be written in any character set.

    Values stay as they are; a date, time or sex that no reader could accept becomes empty, and
    another number of the patient that lacks what it must have (PS3.3, C.7.1.1) is left out.
    """
    copied = Dataset()
    for keyword in REQUIRED_OF_PATIENT_AND_STUDY:
        if keyword in header:
            copied[keyword] = deepcopy(header[keyword])
        else:
            setattr(copied, keyword, "")
    for keyword in COPIED_OF_PATIENT_AND_STUDY:
        if keyword in header and not header[keyword].is_empty:
            copied[keyword] = deepcopy(header[keyword])
    for _ in copied.iterall():
        pass  # decodes what is still raw in nested items with the source's character set
    _drop_incomplete_numbers(copied)
    if copied.PatientSex not in _SEXES:
        copied.PatientSex = ""
    for keyword, kind in (
        ("PatientBirthDate", DA),
        ("StudyDate", DA),
        ("StudyTime", TM),
    ):
        try:
            kind(copied.get(keyword) or "")
        except ValueError:
            setattr(copied, keyword, "")
    if copied.get("PatientIdentityRemoved") == "YES" and not (
        "DeidentificationMethod" in copied or "DeidentificationMethodCodeSequence" in copied
    ):
        copied.DeidentificationMethod = METHOD_NOT_STATED
    return copied


def _drop_incomplete_numbers(copied: Dataset) -> None:
    numbers = copied.get("OtherPatientIDsSequence") or ()
    whole = [item for item in numbers if item.get("PatientID") and item.get("TypeOfPatientID")]
    if whole:
        copied.OtherPatientIDsSequence = whole
    elif "OtherPatientIDsSequence" in copied:
        del copied.OtherPatientIDsSequence
