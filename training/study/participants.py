"""Who takes part in a study: the imported cohort, its centres and the division of patients."""

import csv
import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from training.cohort.patient_split import PatientSplit

#: Files of an imported cohort, see `training.cohort.intake.tables`.
COHORT_TABLE, EXCLUSIONS_TABLE = "cohort.csv", "exclusions.csv"
CLINICAL_TABLE, TRUTH_FILE = "clinical.csv", "truth.json"

#: Column of the clinical table that only simulated patients have: the chance of expansion, as far
#: as images can tell it.
IDEAL_COLUMN = "ideal_he_probability"

#: Role of the patients that everything is trained on; the others are external-1, external-2...
DEVELOPMENT = "development"

#: Source of scans that `ichtrain phantom` made.
_SIMULATED = "simulated"


@dataclass(frozen=True, slots=True, kw_only=True)
class Patient:
    """One patient who was not excluded.

    Attributes
    ----------
    patient_id, centre : str
        Pseudonym, and where the scans come from; empty where that is not known.
    scans : tuple of str
        Segmented scans.
    baseline_ml, follow_up_ml : float or None
        Volumes of the masks; None without such a scan.
    expanded : bool or None
        Whether the hematoma grew by more than 6 mL or a third; None where a scan is missing.
    """

    patient_id: str
    centre: str
    scans: tuple[str, ...]
    baseline_ml: float | None
    follow_up_ml: float | None
    expanded: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Participants:
    """The patients of a study.

    Attributes
    ----------
    folder : Path
        The imported cohort.
    patients : tuple of Patient
        Who was not excluded and has a segmented scan.
    found : mapping of str to set of str
        All patients before any exclusion, by centre.
    clinical : mapping of str to mapping of str to str
        Cells of the clinical table by patient; empty without one.
    development : str
        Centre that everything is trained on.
    """

    folder: Path
    patients: tuple[Patient, ...]
    found: Mapping[str, frozenset[str]]
    clinical: Mapping[str, Mapping[str, str]]
    development: str

    @property
    def centres(self) -> tuple[str, ...]:
        """Development centre first, then the others, the largest first."""
        counts = Counter(one.centre for one in self.patients)
        others = sorted(
            (name for name in counts if name != self.development),
            key=lambda name: (-counts[name], name),
        )
        return (self.development, *others)

    @property
    def roles(self) -> dict[str, str]:
        """Centre by role."""
        first, *others = self.centres
        return {DEVELOPMENT: first} | {
            f"external-{number}": name for number, name in enumerate(others, start=1)
        }

    def of_role(self, role: str) -> tuple[Patient, ...]:
        """Return the patients of a role."""
        centre = self.roles[role]
        return tuple(one for one in self.patients if one.centre == centre)

    def title(self, role: str) -> str:
        """Return a role with its centre, for tables."""
        words = (
            "Development set"
            if role == DEVELOPMENT
            else f"External set {role.removeprefix('external-')}"
        )
        centre = self.roles[role]
        return f"{words} ({centre})" if centre else words

    def scan_paths(self) -> Iterator[Path]:
        """Yield the prepared scans."""
        for one in self.patients:
            for scan in one.scans:
                yield self.folder / f"{scan}.npz"

    def is_simulated(self) -> bool:
        """Return whether the heads are simulated, as a scan, a truth or a chart says."""
        from training.cohort.folder import read_scan_file

        if (self.folder / TRUTH_FILE).is_file():
            return True
        if any(row.get(IDEAL_COLUMN) for row in self.clinical.values()):
            return True
        first = next(self.scan_paths(), None)
        return first is not None and read_scan_file(first).source == _SIMULATED


def read_participants(folder: Path, *, development: str | None = None) -> Participants:
    """Return the patients of an imported cohort.

    Parameters
    ----------
    folder : Path
        What `ichtrain cohort import` wrote.
    development : str, optional
        Centre to train on; default the largest.

    Raises
    ------
    ValueError
        If the folder is none, nobody is left, or there is no such centre.
    """
    table = folder / COHORT_TABLE
    if not table.is_file():
        raise ValueError(
            f"{folder} has no {COHORT_TABLE}; `ichtrain cohort import` makes a cohort"
        )
    with table.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    by_patient: dict[str, list[dict[str, str]]] = {}
    found: dict[str, set[str]] = {}
    for row in rows:
        found.setdefault(row.get("centre") or "", set()).add(row["patient_id"])
        if not row["excluded"] and row["hematoma_ml"]:
            by_patient.setdefault(row["patient_id"], []).append(row)
    if not by_patient:
        raise ValueError(f"{folder} has no segmented scan of a patient who takes part")
    patients = tuple(_patient(own) for _, own in sorted(by_patient.items()))
    counts = Counter(one.centre for one in patients)
    largest = min(counts, key=lambda name: (-counts[name], name))
    chosen = largest if development is None else development
    if chosen not in counts:
        raise ValueError(f"No patient of centre {chosen!r}; there are {_named(counts)}")
    return Participants(
        folder=folder,
        patients=patients,
        found={centre: frozenset(ids) for centre, ids in found.items()},
        clinical=_clinical(folder / CLINICAL_TABLE),
        development=chosen,
    )


def divide_development(
    patients: Sequence[Patient], *, validation: float, test: float
) -> PatientSplit:
    """Return training, validation and test patients of the development set.

    Within each outcome a hash of the identifier decides, so that even a small set has both
    outcomes on every side: of three patients one is in each part that is wanted, of four two
    validate, which tests between classifiers need.
    """
    parts: dict[str, set[str]] = {"train": set(), "validation": set(), "test": set()}
    for outcome in (True, False, None):
        ids = sorted(
            (one.patient_id for one in patients if one.expanded is outcome), key=place_by_chance
        )
        aside = {
            "validation": _count(len(ids), validation, fewest=2),
            "test": _count(len(ids), test, fewest=1),
        }
        for part, count in aside.items():
            parts[part] |= set(ids[:count])
            ids = ids[count:]
        parts["train"] |= set(ids)
    return PatientSplit(**{name: frozenset(ids) for name, ids in parts.items()})


def place_by_chance(patient_id: str) -> str:
    """Return what to sort patients by, where chance is to decide and always alike."""
    return hashlib.sha256(f"ichnode-study/{patient_id}".encode()).hexdigest()


def _patient(rows: Sequence[Mapping[str, str]]) -> Patient:
    baseline = next((row for row in rows if row["time_point"] == "baseline"), None)
    after = [row for row in rows if row["time_point"] == "follow_up"]
    last = max(after, key=lambda row: float(row["hours_after_baseline"] or 0), default=None)
    before_ml = None if baseline is None else float(baseline["hematoma_ml"])
    after_ml = None if last is None else float(last["hematoma_ml"])
    return Patient(
        patient_id=rows[0]["patient_id"],
        centre=rows[0].get("centre") or "",
        scans=tuple(row["scan_id"] for row in rows),
        baseline_ml=before_ml,
        follow_up_ml=after_ml,
        expanded=_expanded(before_ml, after_ml),
    )


def _expanded(before_ml: float | None, after_ml: float | None) -> bool | None:
    from pipeline.expansion import meets_expansion_rule

    if not before_ml or after_ml is None:
        return None
    return meets_expansion_rule(before_ml, after_ml)


def _clinical(path: Path) -> dict[str, dict[str, str]]:
    if not path.is_file():
        return {}
    with path.open(newline="", encoding="utf-8-sig") as stream:
        return {row["patient_id"]: row for row in csv.DictReader(stream)}


def _count(patients: int, share: float, *, fewest: int) -> int:
    """Return how many of some patients are set aside; as long as two others are there, so many."""
    wanted = round(patients * share)
    least = min(fewest, patients - 2)
    return max(wanted, least) if share > 0 else 0


def _named(names: Mapping[str, int]) -> str:
    return ", ".join(repr(name) for name in sorted(names))
