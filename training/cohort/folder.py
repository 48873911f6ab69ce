"""A cohort as a folder: prepared cases, and how their patients are divided."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.volume import Vector
from training.cohort.case import Case, load_case
from training.cohort.patient_split import Part, PatientSplit, read_split, split_by_hash

SPLIT_FILE = "splits.json"

#: Scans that nobody has segmented; prepared alike, but out of the way of training.
UNLABELLED_FOLDER = "unlabelled"

#: Division of a folder of bare cases, as it has always been.
_BARE_VALIDATION = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanFile:
    """A prepared scan that has not been read yet."""

    case_id: str
    patient_id: str
    source: str
    spacing_zyx_mm: Vector
    path: Path

    def read(self) -> Case:
        """Return the case."""
        return load_case(self.path)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cohort:
    """The scans of one or more cohort folders, with one split over all of them.

    Attributes
    ----------
    folders : tuple of Path
        Where the scans lie.
    scans : tuple of ScanFile
        Segmented scans, in the order of their identifiers.
    split : PatientSplit
        By patient.

    Raises
    ------
    ValueError
        If two scans have the same identifier or a scan's patient is in no part.
    """

    folders: tuple[Path, ...]
    scans: tuple[ScanFile, ...]
    split: PatientSplit

    def __post_init__(self) -> None:
        ids = [scan.case_id for scan in self.scans]
        twice = sorted({one for one in ids if ids.count(one) > 1})
        if twice:
            raise ValueError(f"Scan {twice[0]} is there more than once, in {self._names}")
        for scan in self.scans:
            if self.split.part_of(scan.patient_id) is None:
                raise ValueError(f"Patient {scan.patient_id} is in no part of {self._names}")

    @property
    def _names(self) -> str:
        return ", ".join(map(str, self.folders))

    def part(self, part: Part) -> tuple[ScanFile, ...]:
        """Return the scans of one part."""
        wanted = self.split.patients(part)
        return tuple(scan for scan in self.scans if scan.patient_id in wanted)

    def cases(self, part: Part) -> Iterator[Case]:
        """Yield the cases of one part, read one by one."""
        return (scan.read() for scan in self.part(part))

    def sources(self, part: Part) -> dict[str, int]:
        """Return the scans of one part by the data set that they come from."""
        return dict(Counter(scan.source for scan in self.part(part)))

    def describe(self) -> dict[str, int]:
        """Return counts of scans and patients by part."""
        counts = {}
        for part in Part:
            scans = self.part(part)
            counts[f"{part}_scans"] = len(scans)
            counts[f"{part}_patients"] = len({scan.patient_id for scan in scans})
        return counts


def load_cohort(folders: Path | Sequence[Path]) -> Cohort:
    """Return the cohort in one or more folders of prepared cases.

    A folder that `ichtrain cohort import` wrote brings its ``splits.json``; in any other a hash
    of the patient's identifier sets every fifth patient aside for validation.

    Raises
    ------
    ValueError
        If a folder holds no case, or a patient would be on two sides.
    """
    given = (folders,) if isinstance(folders, Path) else tuple(folders)
    scans: list[ScanFile] = []
    parts: dict[Part, set[str]] = {part: set() for part in Part}
    for folder in given:
        found = scans_in(folder)
        patients = {scan.patient_id for scan in found}
        split = _split_of(folder, patients)
        scans += found
        for part in Part:
            parts[part] |= split.patients(part) & patients
    return Cohort(
        folders=given,
        scans=tuple(sorted(scans, key=lambda scan: scan.case_id)),
        split=PatientSplit(**{part.value: frozenset(found) for part, found in parts.items()}),
    )


def read_scan_file(path: Path) -> ScanFile:
    """Return what a case's file says of itself, without unpacking the images."""
    with np.load(path, allow_pickle=False) as stored:
        facts = json.loads(str(stored["facts"]))
    z, y, x = (float(step) for step in facts["spacing_zyx_mm"])
    return ScanFile(
        case_id=facts["case_id"],
        patient_id=facts["patient_id"],
        source=facts["source"],
        spacing_zyx_mm=(z, y, x),
        path=path,
    )


def scans_in(folder: Path) -> list[ScanFile]:
    """Return the prepared cases in a folder, sorted by file name.

    Raises
    ------
    ValueError
        If there is none.
    """
    paths = sorted(path for path in folder.glob("*.npz") if not path.name.endswith(".part.npz"))
    if not paths:
        raise ValueError(
            f"{folder} holds no prepared case; `ichtrain cohort import` makes them of DICOM "
            "or NIfTI"
        )
    return [read_scan_file(path) for path in paths]


def _split_of(folder: Path, patients: set[str]) -> PatientSplit:
    path = folder / SPLIT_FILE
    if path.exists():
        return read_split(path)
    return split_by_hash(patients, validation=_BARE_VALIDATION, test=0.0)
