"""Triplets on disk, known by what they say of themselves; images are read when asked for."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.prediction import HeLabel
from training.classification.case import load_case
from training.cohort.folder import SPLIT_FILE
from training.cohort.patient_split import Part, PatientSplit, read_split, split_by_hash
from training.synthesis.provenance import is_synthetic

#: Where nobody has decided, a fifth of the patients validate.
_VALIDATION = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class TripletFile:
    """A case of `training.classification` whose images have not been read.

    Attributes
    ----------
    case_id, patient_id : str
        As in the case.
    label : HeLabel
        What became of the hematoma.
    slices : int
        How many there are.
    path : Path
        Its file.
    cut : str
        How the slices were cut; empty if nobody wrote it down.
    """

    case_id: str
    patient_id: str
    label: HeLabel
    slices: int
    path: Path
    cut: str = ""

    def images_yx(self) -> tuple[NDArray[np.uint8], ...]:
        """Return the slices, inferior to superior."""
        return load_case(self.path).images_yx


def find_triplets(folders: Sequence[Path]) -> list[TripletFile]:
    """Return the real cases of some folders, sorted by identity; synthetic ones are left out.

    Raises
    ------
    ValueError
        If there is none.
    """
    paths = [path for folder in folders for path in folder.glob("*.npz")]
    found = [_triplet(path) for path in paths if not path.name.endswith(".part.npz")]
    real = [one for one in found if not is_synthetic(one.patient_id)]
    if not real:
        raise ValueError(
            f"No triplet in {', '.join(map(str, folders))}; "
            "`ichtrain classification triplets` cuts them"
        )
    return sorted(real, key=lambda one: one.case_id)


def split_of(
    triplets: Sequence[TripletFile], folders: Sequence[Path], *, given: Path | None
) -> PatientSplit:
    """Return how the patients are divided.

    A file that is given counts, else the ``splits.json`` of the folders; without either a hash
    sets every fifth patient aside.

    Raises
    ------
    ValueError
        If a patient is in no part, or in two.
    """
    patients = {one.patient_id for one in triplets}
    files = [given] if given else [path for one in folders if (path := one / SPLIT_FILE).exists()]
    if not files:
        return split_by_hash(patients, validation=_VALIDATION, test=0.0)
    splits = [read_split(path) for path in files]
    parts = {
        part.value: frozenset().union(*(one.patients(part) for one in splits)) for part in Part
    }
    split = PatientSplit(**parts)
    homeless = sorted(one for one in patients if split.part_of(one) is None)
    if homeless:
        raise ValueError(
            f"{len(homeless)} patients are in no part of {', '.join(map(str, files))}"
        )
    return split


def of_part(triplets: Sequence[TripletFile], split: PatientSplit, part: Part) -> list[TripletFile]:
    """Return the triplets of the patients of one part."""
    patients = split.patients(part)
    return [one for one in triplets if one.patient_id in patients]


def _triplet(path: Path) -> TripletFile:
    # Members of an npz are read one by one: the images stay untouched.
    with np.load(path, allow_pickle=False) as stored:
        facts = json.loads(str(stored["facts"]))
        slices = sum(name.startswith("image_") for name in stored.files)
    return TripletFile(
        case_id=facts["case_id"],
        patient_id=facts["patient_id"],
        label=HeLabel[facts["label"]],
        slices=slices,
        path=path,
        cut=facts.get("cut", ""),
    )
