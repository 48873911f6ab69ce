"""What images cannot tell of a patient, from a table that a person keeps."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

_YES, _NO = ("yes", "y", "true", "1"), ("no", "n", "false", "0")
_SEXES = {"m": "M", "male": "M", "f": "F", "female": "F", "o": "O", "other": "O"}

#: Columns by what their cells hold.
_NUMBERS = (
    *("age_years", "systolic_mmhg", "gcs", "onset_to_baseline_h", "onset_to_follow_up_h"),
    "ideal_he_probability",
)
_FLAGS = (
    *("hypertension", "diabetes", "antithrombotic"),
    *("spontaneous", "surgery_before_follow_up", "primary_ivh", "poor_quality"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClinicalFacts:
    """One patient's row; None is not known.

    Attributes
    ----------
    centre : str or None
        Hospital, by any short name.
    age_years : float or None
        At the baseline scan.
    sex : str or None
        M, F or O, as DICOM has it.
    hypertension, diabetes : bool or None
        History.
    antithrombotic : bool or None
        Whether the patient took anticoagulants or antiplatelets.
    systolic_mmhg : float or None
        Systolic pressure at admission.
    gcs : float or None
        Glasgow Coma Scale at admission.
    onset_to_baseline_h, onset_to_follow_up_h : float or None
        Hours from symptom onset to each scan.
    spontaneous : bool or None
        Whether the hemorrhage was spontaneous.
    surgery_before_follow_up : bool or None
        Whether there was surgery between the scans.
    primary_ivh : bool or None
        Whether the hemorrhage lay in the ventricles alone.
    poor_quality : bool or None
        Whether a reader called the images poor.
    ideal_he_probability : float or None
        Of simulated patients: what the best reader of the baseline image would say.
    """

    centre: str | None = None
    age_years: float | None = None
    sex: str | None = None
    hypertension: bool | None = None
    diabetes: bool | None = None
    antithrombotic: bool | None = None
    systolic_mmhg: float | None = None
    gcs: float | None = None
    onset_to_baseline_h: float | None = None
    onset_to_follow_up_h: float | None = None
    spontaneous: bool | None = None
    surgery_before_follow_up: bool | None = None
    primary_ivh: bool | None = None
    poor_quality: bool | None = None
    ideal_he_probability: float | None = None


#: The columns that are understood beside ``patient_id``.
CLINICAL_COLUMNS = tuple(field.name for field in fields(ClinicalFacts))


@dataclass(frozen=True, slots=True, kw_only=True)
class ClinicalTable:
    """A table of patients.

    Attributes
    ----------
    patients : mapping of str to ClinicalFacts
        By the table's patient identifier.
    unknown_columns : tuple of str
        Columns that are not understood and were left out.
    """

    patients: Mapping[str, ClinicalFacts]
    unknown_columns: tuple[str, ...] = ()


def read_clinical(path: Path) -> ClinicalTable:
    """Return the facts by patient, as the images call the patient.

    Needs a column ``patient_id``; `CLINICAL_COLUMNS` are understood, empty cells are not known.

    Raises
    ------
    ValueError
        If there is no such column, a patient comes twice, or a value is not what its column
        holds; the message names line and column, no value and no patient.
    """
    rows: dict[str, ClinicalFacts] = {}
    with path.open(newline="", encoding="utf-8-sig") as stream:
        reader = csv.DictReader(stream)
        names = reader.fieldnames or ()
        if "patient_id" not in names:
            raise ValueError(f"{path} lacks the column patient_id")
        if not set(names) & set(CLINICAL_COLUMNS):
            raise ValueError(f"{path} has none of the columns {', '.join(CLINICAL_COLUMNS)}")
        for row in reader:
            where = f"{path}, line {reader.line_num}"
            patient = (row["patient_id"] or "").strip()
            if patient in rows:
                raise ValueError(f"{where}: the patient has a row already")
            rows[patient] = ClinicalFacts(
                **{name: _cell(name, row.get(name), where) for name in CLINICAL_COLUMNS}
            )
    unknown = tuple(name for name in names if name not in ("patient_id", *CLINICAL_COLUMNS))
    return ClinicalTable(patients=rows, unknown_columns=unknown)


def write_clinical(path: Path, patients: Mapping[str, ClinicalFacts]) -> None:
    """Write a table that `read_clinical` reads, patients in the order of their identifiers."""
    partial = path.with_name(path.name + ".part")
    with partial.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(("patient_id", *CLINICAL_COLUMNS))
        for patient, facts in sorted(patients.items()):
            writer.writerow((patient, *(_said(getattr(facts, n)) for n in CLINICAL_COLUMNS)))
    partial.replace(path)


def _cell(name: str, text: str | None, where: str) -> Any:  # noqa: ANN401  by the column
    word = (text or "").strip()
    if not word:
        return None
    if name in _NUMBERS:
        return _number(word, f"{where}, {name}")
    if name in _FLAGS:
        return _flag(word.lower(), f"{where}, {name}")
    if name == "sex":
        return _sex(word.lower(), f"{where}, {name}")
    return word


def _number(word: str, where: str) -> float:
    try:
        return float(word)
    except ValueError:
        raise ValueError(f"{where}: a number is expected") from None


def _flag(word: str, where: str) -> bool:
    if word not in (*_YES, *_NO):
        raise ValueError(f"{where}: yes or no is expected")
    return word in _YES


def _sex(word: str, where: str) -> str:
    if word not in _SEXES:
        raise ValueError(f"{where}: M, F or O is expected")
    return _SEXES[word]


def _said(value: str | float | bool | None) -> str:  # noqa: FBT001  a cell
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value if isinstance(value, str) else f"{value:.6g}"
