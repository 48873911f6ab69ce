"""What images cannot tell of a patient, from a table that a person keeps."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_YES, _NO = ("yes", "y", "true", "1"), ("no", "n", "false", "0")

_NUMBERS = ("age_years", "onset_to_baseline_h", "onset_to_follow_up_h")
_FLAGS = ("spontaneous", "surgery_before_follow_up", "primary_ivh", "poor_quality")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClinicalFacts:
    """One patient's row; None is not known.

    Attributes
    ----------
    age_years : float or None
        At the baseline scan.
    spontaneous : bool or None
        Whether the hemorrhage was spontaneous.
    onset_to_baseline_h, onset_to_follow_up_h : float or None
        Hours from symptom onset to each scan.
    surgery_before_follow_up : bool or None
        Whether there was surgery between the scans.
    primary_ivh : bool or None
        Whether the hemorrhage lay in the ventricles alone.
    poor_quality : bool or None
        Whether a reader called the images poor.
    """

    age_years: float | None = None
    spontaneous: bool | None = None
    onset_to_baseline_h: float | None = None
    onset_to_follow_up_h: float | None = None
    surgery_before_follow_up: bool | None = None
    primary_ivh: bool | None = None
    poor_quality: bool | None = None


def read_clinical(path: Path) -> Mapping[str, ClinicalFacts]:
    """Return the facts by patient, as the images call the patient.

    Needs a column ``patient_id``; the attributes of `ClinicalFacts` are understood as columns,
    empty cells are not known, other columns are left alone.

    Raises
    ------
    ValueError
        If there is no such column, a patient comes twice, or a value is neither number nor yes
        nor no; the message names line and column, no value and no patient.
    """
    rows: dict[str, ClinicalFacts] = {}
    with path.open(newline="", encoding="utf-8-sig") as stream:
        reader = csv.DictReader(stream)
        names = reader.fieldnames or ()
        if "patient_id" not in names:
            raise ValueError(f"{path} lacks the column patient_id")
        if not set(names) & {*_NUMBERS, *_FLAGS}:
            raise ValueError(f"{path} has none of the columns {', '.join((*_NUMBERS, *_FLAGS))}")
        for row in reader:
            where = f"{path}, line {reader.line_num}"
            patient = (row["patient_id"] or "").strip()
            if patient in rows:
                raise ValueError(f"{where}: the patient has a row already")
            values: dict[str, Any] = {
                name: _number(row.get(name), f"{where}, {name}") for name in _NUMBERS
            }
            values |= {name: _flag(row.get(name), f"{where}, {name}") for name in _FLAGS}
            rows[patient] = ClinicalFacts(**values)
    return rows


def _number(text: str | None, where: str) -> float | None:
    if not (text or "").strip():
        return None
    try:
        return float(str(text))
    except ValueError:
        raise ValueError(f"{where}: a number is expected") from None


def _flag(text: str | None, where: str) -> bool | None:
    word = (text or "").strip().lower()
    if not word:
        return None
    if word not in (*_YES, *_NO):
        raise ValueError(f"{where}: yes or no is expected")
    return word in _YES
