"""The slices that the diffusion learns from: training patients', and no others."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.classification.transform import to_batch
from pipeline.prediction import HeLabel
from training.cohort.patient_split import Part, PatientSplit
from training.synthesis.provenance import fingerprint
from training.synthesis.triplet_files import TripletFile, of_part

OnSlice = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LearningSlices:
    """Slices as the diffusion sees them.

    Attributes
    ----------
    images : Tensor of float32, shape (N, 1, S, S)
        By `pipeline.classification.transform`, -1..1.
    labels : Tensor of int64, shape (N,)
        `HeLabel` of each slice.
    shapes_yx : tuple of (int, int)
        Native size of each slice.
    patients : tuple of str
        Patient of each slice.
    """

    images: Tensor
    labels: Tensor
    shapes_yx: tuple[tuple[int, int], ...]
    patients: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.patients)

    @property
    def fingerprints(self) -> tuple[str, ...]:
        """Fingerprints of all patients, each once, sorted."""
        return tuple(sorted({fingerprint(one) for one in self.patients}))


def _silent(done: int, total: int) -> None:
    del done, total


def read_learning_slices(
    triplets: Sequence[TripletFile],
    split: PatientSplit,
    *,
    image_size: int,
    both_classes: bool = False,
    part: Part = Part.TRAIN,
    on_case: OnSlice = _silent,
) -> LearningSlices:
    """Return the slices of the training patients who expanded.

    Parameters
    ----------
    triplets : sequence of TripletFile
        Of the whole cohort; only files of the part are opened for their images.
    split : PatientSplit
        Who is who.
    image_size : int
        Height and width of the network's images.
    both_classes : bool
        Also the slices of those who did not expand.
    part : Part
        Another part than training is for comparison only, never for learning.
    on_case : callable
        Told how many cases of how many are read.

    Raises
    ------
    ValueError
        If nobody of the part expanded.
    """
    wanted = set(HeLabel) if both_classes else {HeLabel.HE}
    chosen = [one for one in of_part(triplets, split, part) if one.label in wanted]
    if not any(one.label is HeLabel.HE for one in chosen):
        raise ValueError(f"No {part} patient has an expanding hematoma")
    images: list[NDArray[np.uint8]] = []
    labels: list[int] = []
    patients: list[str] = []
    for number, case in enumerate(chosen):
        found = case.images_yx()
        images += found
        labels += [int(case.label)] * len(found)
        patients += [case.patient_id] * len(found)
        on_case(number + 1, len(chosen))
    return LearningSlices(
        images=to_batch(images, input_size=image_size),
        labels=torch.tensor(labels),
        shapes_yx=tuple((one.shape[0], one.shape[1]) for one in images),
        patients=tuple(patients),
    )
