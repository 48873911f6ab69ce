"""Which patients train the classifier and which choose among its epochs."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.prediction import HeLabel
from training.classification.case import TripletCase


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
        If a patient is on both sides, or a side lacks an outcome.
    """

    training: tuple[TripletCase, ...]
    validation: tuple[TripletCase, ...]

    def __post_init__(self) -> None:
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
