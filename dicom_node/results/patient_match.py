"""Whether two series are of one patient, as far as their identifiers tell.

Names are not compared: they are spelt in several ways and change. No value of an identifier
leaves this module, only the name of the attribute that differs.

What only one series says neither agrees nor differs. Two identifiers that agree suffice to tell
a patient (WHO, Patient Safety Solutions 2, 2007): with Patient ID and birth date in agreement an
issuer or a sex that one series lacks is accepted. A birth date that one series lacks is not: it is
what uncovers an identifier that was mistyped at one of the scanners.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from pydicom.dataset import Dataset

_ID: Final = "Patient ID"
_ISSUER: Final = "Issuer of Patient ID"
_QUALIFIERS: Final = "Issuer of Patient ID Qualifiers"
_BIRTH_DATE: Final = "Patient's Birth Date"
_SEX: Final = "Patient's Sex"


@dataclass(frozen=True, slots=True, kw_only=True)
class PatientMatch:
    """How the identifiers of two series compare.

    Attributes
    ----------
    differing : tuple of str
        Names of attributes whose values contradict one another.
    missing : tuple of str
        Names of attributes that are needed and that one series, or both, lack.
    """

    differing: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()

    @property
    def is_one_patient(self) -> bool:
        """Whether the series may be compared."""
        return not self.differing and not self.missing

    @property
    def reason(self) -> str:
        """Why they may not be compared, without any value; empty if they may."""
        said = []
        if self.differing:
            said.append(f"{_listed(self.differing)} of the two series differ")
        if self.missing:
            said.append(f"{_listed(self.missing)} must be known of both series and is not")
        return "; ".join(said)


def match_patients(first: Dataset, second: Dataset) -> PatientMatch:
    """Return how the identifiers of two series compare; any image of each will do.

    Patient ID must be there and equal. Issuer of Patient ID with its qualifiers, Patient's Birth
    Date and Patient's Sex must be equal where both series say them; absent on both is no
    objection (PS3.3, C.7.1.1).
    """
    pairs = {name: (read(first), read(second)) for name, read in _READERS.items()}
    differing = [name for name, (one, other) in pairs.items() if one and other and one != other]
    if _qualifiers_differ(first, second):
        differing.append(_QUALIFIERS)
    one_sided = {name for name, (one, other) in pairs.items() if bool(one) != bool(other)}
    missing = [] if all(pairs[_ID]) else [_ID]
    if one_sided - {_ID} and not all(pairs[_BIRTH_DATE]):
        missing.append(_BIRTH_DATE)
    return PatientMatch(differing=tuple(differing), missing=tuple(missing))


def _text(keyword: str) -> Callable[[Dataset], str]:
    def read(header: Dataset) -> str:
        return str(header.get(keyword) or "").strip()

    return read


def _sex(header: Dataset) -> str:
    """Return M, F or O; anything else is not known."""
    sex = str(header.get("PatientSex") or "").strip().upper()
    return sex if sex in ("M", "F", "O") else ""


def _qualifiers_differ(first: Dataset, second: Dataset) -> bool:
    """Return whether both series qualify their issuer, and in different words.

    What only one of them says of an issuer is passed over.
    """
    one, other = (_qualifiers(header) for header in (first, second))
    return any(one[name] != other[name] for name in one.keys() & other.keys())


def _qualifiers(header: Dataset) -> dict[str, str]:
    """Return what the items of the qualifiers say, by keyword (PS3.3, table 10-18)."""
    said = {}
    for item in header.get("IssuerOfPatientIDQualifiersSequence") or ():
        for element in item.iterall():
            value = str(element.value or "").strip()
            if element.VR != "SQ" and value:
                said[element.keyword] = value
    return said


def _listed(names: tuple[str, ...]) -> str:
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last


_READERS: Final[dict[str, Callable[[Dataset], str]]] = {
    _ID: _text("PatientID"),
    _ISSUER: _text("IssuerOfPatientID"),
    _BIRTH_DATE: _text("PatientBirthDate"),
    _SEX: _sex,
}
