"""What stands beside the scans of an export: pairs, charts, exclusions, manifest, a word."""

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from dicom_node.export import rules
from dicom_node.export.exclusion import WORDS, Exclusion
from dicom_node.jobs.followed import FollowedPair

MANIFEST_FILE: Final = "manifest.json"
PAIRS_FILE: Final = "pairs.csv"
CLINICAL_FILE: Final = "clinical.csv"
EXCLUSIONS_FILE: Final = "exclusions.csv"
README_FILE: Final = "README.txt"

#: Says what a folder is.
FORMAT: Final = "ichnode export 1"

#: Columns of pairs.csv; the first three say where, the others what the node measured.
PAIR_COLUMNS: Final = (
    *("patient_id", "baseline", "follow_up", "elapsed_hours"),
    *("baseline_ml", "follow_up_ml", "baseline_intraventricular_ml"),
    *("follow_up_intraventricular_ml", "change_ml", "change_relative"),
    *("definition", "criteria", "expanded", "is_certain", "flags", "mask_source"),
)

#: Columns that `ichtrain cohort import --clinical` understands.
_CLINICAL_COLUMNS: Final = ("patient_id", "age_years", "sex")

_README: Final = """\
De-identified head CT of patients with intracerebral hemorrhage: a baseline scan and what followed,
with masks and measured growth. RESEARCH USE ONLY.

patients/P.../baseline/ct, follow_up_1/ct ...   CT images
patients/P.../*/mask.dcm                        hematoma, DICOM Segmentation
pairs.csv       one row per follow-up: hours, volumes, whether the hematoma expanded
clinical.csv    age and sex, for ichtrain cohort import
exclusions.csv  how many comparisons are not here, and why
manifest.json   what was done, and with what

The masks were made by a model (column mask_source), not by a person: they are pseudo-labels.

Names, numbers, UIDs and dates were replaced (see manifest.json), but the images are whole heads:
a face can be made of them and recognised. Do not publish them; do not try to find out who it is.

    ichtrain cohort import THIS_FOLDER --clinical THIS_FOLDER/clinical.csv --need-follow-up \\
        --output COHORT
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedPatient:
    """What the tables say of a patient.

    Attributes
    ----------
    token : str
        Changes when the patient's scans, comparisons or the options do.
    rows : tuple of mapping
        One per follow-up, by `PAIR_COLUMNS`.
    age_years : float or None
        At baseline; None if not known or not told.
    sex : str
        M, F, O or nothing.
    """

    token: str
    rows: tuple[Mapping[str, str], ...]
    age_years: float | None = None
    sex: str = ""

    @classmethod
    def of_json(cls, content: Mapping[str, Any]) -> "ExportedPatient":
        """Return what `as_json` has made."""
        return cls(**{**content, "rows": tuple(content["rows"])})

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return asdict(self)


def pair_row(pair: FollowedPair, *, patient: str, baseline: str, follow_up: str) -> dict[str, str]:
    """Return the row of a comparison: numbers and words of the node, nothing of the patient."""
    record = pair.record
    names = {
        "baseline_ml": "baseline_volume_ml",
        "follow_up_ml": "follow_up_volume_ml",
    }
    model = record.get("model", {}).get("segmentation", {})
    told = {
        "patient_id": patient,
        "baseline": baseline,
        "follow_up": follow_up,
        "mask_source": f"model {model.get('name', '')} {model.get('version', '')}".strip(),
    }
    measured = {
        column: _cell(record.get(names.get(column, column)))
        for column in PAIR_COLUMNS
        if column not in told
    }
    return {column: {**measured, **told}[column] for column in PAIR_COLUMNS}


def read_manifest(output: Path) -> dict[str, Any] | None:
    """Return the manifest of an export, None if the folder has none."""
    try:
        content = json.loads((output / MANIFEST_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    is_ours = isinstance(content, dict) and content.get("format") == FORMAT
    return content if is_ours else None


def write_manifest(output: Path, facts: Mapping[str, Any]) -> None:
    """Write what was done, and with what."""
    methods = [rules.BASIC_PROFILE, rules.MODIFIED_DATES]
    if facts.get("patient_characteristics"):
        methods.append(rules.CHARACTERISTICS)
    content = {
        "format": FORMAT,
        "research_use_only": True,
        "de_identification": [asdict(method) for method in methods],
        **facts,
    }
    _replace(output / MANIFEST_FILE, json.dumps(content, indent=2) + "\n")


def write_tables(
    output: Path,
    patients: Mapping[str, ExportedPatient],
    excluded: Mapping[Exclusion, int],
) -> None:
    """Write what stands beside the scans.

    Parameters
    ----------
    patients
        Everybody in the export, by pseudonym.
    excluded
        Comparisons that are not in it.
    """
    rows = [row for _, one in sorted(patients.items()) for row in one.rows]
    _write(output / PAIRS_FILE, PAIR_COLUMNS, ([row[c] for c in PAIR_COLUMNS] for row in rows))
    charts = [
        (name, "" if one.age_years is None else f"{one.age_years:g}", one.sex)
        for name, one in sorted(patients.items())
    ]
    if any(age or sex for _, age, sex in charts):
        _write(output / CLINICAL_FILE, _CLINICAL_COLUMNS, charts)
    else:
        (output / CLINICAL_FILE).unlink(missing_ok=True)
    _write(
        output / EXCLUSIONS_FILE,
        ("criterion", "words", "comparisons"),
        ((one.value, WORDS[one], excluded[one]) for one in Exclusion if excluded.get(one)),
    )
    _replace(output / README_FILE, _README)


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return " ".join(str(one) for one in value)
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _write(path: Path, names: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    partial = path.with_name(path.name + ".part")
    with partial.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(names)
        writer.writerows(rows)
    partial.replace(path)


def _replace(path: Path, text: str) -> None:
    partial = path.with_name(path.name + ".part")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)
