"""Which patients train the classifier and which choose among its epochs."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.prediction import HeLabel
from training.classification.case import TripletCase
from training.cohort.folder import SPLIT_FILE
from training.cohort.patient_split import Part, PatientSplit, read_split, split_by_hash
from training.synthesis.provenance import require_real


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Cases on both sides; no patient is on both.

    Attributes
    ----------
    training, validation : tuple of TripletCase
        Cases whose slices are learned, and cases that choose epoch and threshold.

    Raises
    ------
    ValueError
        If a patient is on both sides, a side lacks an outcome, or a synthetic image is to be
        validated on.
    """

    training: tuple[TripletCase, ...]
    validation: tuple[TripletCase, ...]

    def __post_init__(self) -> None:
        require_real((case.patient_id for case in self.validation), where="validation")
        shared = {case.patient_id for case in self.training} & {
            case.patient_id for case in self.validation
        }
        if shared:
            raise ValueError(f"Patients on both sides of the split: {sorted(shared)}")
        for name, side in (("training", self.training), ("validation", self.validation)):
            missing = set(HeLabel) - {case.label for case in side}
            if missing:
                raise ValueError(f"No {name} case of class {min(missing).name}")


def split_cases(cases: Sequence[TripletCase], *, validation_share: float, seed: int) -> Split:
    """Return a random split by patient with the same share of HE on both sides.

    A patient with several cases counts as HE if one of them is.

    Parameters
    ----------
    cases : sequence of TripletCase
        All cases.
    validation_share : float
        Part of the patients of each outcome that is kept for validation, in (0, 1).
    seed : int
        Decides the split, together with the patients' identities, whatever their order.

    Raises
    ------
    ValueError
        If an outcome has too few patients to stand on both sides.
    """
    rng = np.random.default_rng(seed)
    expanded = {case.patient_id for case in cases if case.label is HeLabel.HE}
    others = {case.patient_id for case in cases} - expanded
    chosen: set[str] = set()
    for group in (sorted(expanded), sorted(others)):
        order = rng.permutation(len(group))[: round(len(group) * validation_share)]
        chosen |= {group[index] for index in order}
    return Split(
        training=tuple(case for case in cases if case.patient_id not in chosen),
        validation=tuple(case for case in cases if case.patient_id in chosen),
    )


def split_by_part(cases: Sequence[TripletCase], parts: PatientSplit) -> Split:
    """Return the training and validation cases of a division of patients; test is left out."""
    return Split(
        training=tuple(case for case in cases if case.patient_id in parts.patients(Part.TRAIN)),
        validation=tuple(
            case for case in cases if case.patient_id in parts.patients(Part.VALIDATION)
        ),
    )


def divide(
    cases: Sequence[TripletCase],
    folders: Sequence[Path],
    *,
    given: Path | None,
    validation_share: float,
    seed: int | None,
) -> Split:
    """Return the split that a file names, else ``splits.json`` of the folders, else one by chance.

    Parameters
    ----------
    cases : sequence of TripletCase
        Of the folders.
    folders : sequence of Path
        Where the cases lie.
    given : Path or None
        JSON with the patients of each part.
    validation_share : float
        As for `split_cases`, where no file divides the patients.
    seed : int or None
        Likewise; None divides by the hash of the identifier, as `ichtrain synthesis` does, so
        that its images come from this split's training patients.

    Raises
    ------
    ValueError
        If a patient is in no part, or a side lacks an outcome.
    """
    files = [given] if given else [path for one in folders if (path := one / SPLIT_FILE).exists()]
    if not files and seed is not None:
        return split_cases(cases, validation_share=validation_share, seed=seed)
    if not files:
        patients = {case.patient_id for case in cases}
        return split_by_part(cases, split_by_hash(patients, validation=validation_share, test=0.0))
    parts = [read_split(path) for path in files]
    joined = PatientSplit(
        **{part.value: frozenset().union(*(one.patients(part) for one in parts)) for part in Part}
    )
    homeless = [case for case in cases if joined.part_of(case.patient_id) is None]
    if homeless:
        raise ValueError(f"{len(homeless)} cases are in no part of {', '.join(map(str, files))}")
    return split_by_part(cases, joined)
