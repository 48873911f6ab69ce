"""Whom to ask a PACS for: read from an image in custody, used at once, kept nowhere."""

from pathlib import Path
from typing import Final

import pydicom
from pydicom.errors import InvalidDicomError

from dicom_node.association.query import PatientIdentity
from dicom_node.errors import UnaskablePatientError
from pipeline.ct_series.header import MALFORMED

_KEYWORDS: Final = (
    "PatientID",
    "IssuerOfPatientID",
    "PatientBirthDate",
    "PatientSex",
    "SpecificCharacterSet",
)


def read_patient_identity(path: Path) -> PatientIdentity:
    """Return whose image a file is.

    Raises
    ------
    UnaskablePatientError
        If the file is gone or unreadable, has no Patient ID, or one that would match others.
    """
    try:
        header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=list(_KEYWORDS))
        texts = {keyword: header.get(keyword) for keyword in _KEYWORDS}
    except (InvalidDicomError, MemoryError, *MALFORMED) as error:
        raise UnaskablePatientError("the image that says whom to ask for is unreadable") from error
    character_set = texts["SpecificCharacterSet"] or ""
    if not isinstance(character_set, str):
        character_set = "\\".join(character_set)
    return PatientIdentity(
        patient_id=_text(texts["PatientID"]),
        issuer=_text(texts["IssuerOfPatientID"]),
        birth_date=_text(texts["PatientBirthDate"]),
        sex=_text(texts["PatientSex"]),
        character_set=character_set,
    )


def _text(value: object) -> str:
    return "" if value is None else str(value).strip()
