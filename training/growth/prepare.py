"""From a cohort to pairs: two scans of a head on one grid, and made baselines beside them."""

import csv
import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from pipeline.follow_up.registration import apply_alignment, register
from pipeline.growth.brain import extract_brain
from pipeline.volume import Vector
from training.cohort.case import HALF_COVERED, Case
from training.growth.deformable import RegisterMasks, by_demons
from training.growth.followed import Criteria, Followed
from training.growth.pair import GrowthPair, load_shrunk, pair_path, save_pair, save_shrunk
from training.growth.shrinking import Shrinking, shrink_baseline

#: What the pairs were made with, and who was left out.
PREPARATION_FILE, EXCLUSIONS_FILE = "preparation.json", "exclusions.csv"

#: Two scans of one head correlate by more than 0.95; below this they are not matched.
LEAST_CORRELATION = 0.8

#: Voxels kept around the brain.
_MARGIN = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Preparation:
    """How pairs are made.

    Attributes
    ----------
    spacing_zyx_mm : Vector
        Voxel size on which the network works.
    criteria : Criteria
        Who is learnt from.
    shrinking : Shrinking
        How baselines are made.
    seed : int
        Of the made baselines.

    Raises
    ------
    ValueError
        If the spacing is not three positive numbers.
    """

    spacing_zyx_mm: Vector = (1.0, 1.0, 1.0)
    criteria: Criteria = field(default_factory=Criteria)
    shrinking: Shrinking = field(default_factory=Shrinking)
    seed: int = 1

    def __post_init__(self) -> None:
        steps: list[float] = list(self.spacing_zyx_mm)
        if len(steps) != 3 or min(steps) <= 0:  # noqa: PLR2004  z, y, x
            raise ValueError(f"spacing_zyx_mm is three lengths, got {self.spacing_zyx_mm}")


def prepare_pairs(
    patients: Iterable[Followed],
    folder: Path,
    how: Preparation,
    *,
    register_masks: RegisterMasks = by_demons,
    on_patient: Callable[[], None] = lambda: None,
) -> dict[str, str]:
    """Make the pairs of a cohort that are not there yet; return who was left out and why.

    The reasons are also written to ``exclusions.csv``. A patient's made baselines depend on the
    seed and on the patient alone.

    Raises
    ------
    ValueError
        If the folder holds pairs that were made in another way.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _claim(folder, how)
    excluded: dict[str, str] = {}
    for patient in patients:
        reason = how.criteria.objection(patient)
        if not reason and not _is_done(folder, patient.patient_id, how):
            try:
                _prepare(patient, folder, how, register_masks)
            except UnmatchedError as error:
                reason = str(error)
        if reason:
            excluded[patient.patient_id] = reason
        on_patient()
    with (folder / EXCLUSIONS_FILE).open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(("patient_id", "reason"))
        writer.writerows(sorted(excluded.items()))
    return excluded


def spacing_of(folder: Path) -> Vector:
    """Return the voxel size of the pairs in a folder.

    Raises
    ------
    ValueError
        If `prepare_pairs` did not make the folder.
    """
    path = folder / PREPARATION_FILE
    if not path.is_file():
        raise ValueError(f"{folder} holds no pairs; `ichtrain growth prepare` makes them")
    z, y, x = json.loads(path.read_text())["spacing_zyx_mm"]
    return (float(z), float(y), float(x))


class UnmatchedError(ValueError):
    """Two scans of a patient could not be brought together."""


def make_pair(patient_id: str, baseline: Case, follow_up: Case) -> GrowthPair:
    """Return two scans of a head on the baseline's grid, cropped to the brain.

    Raises
    ------
    UnmatchedError
        If the heads cannot be matched, or no hematoma is left on the common grid.
    """
    spacing = baseline.spacing_zyx_mm
    try:
        alignment = register(baseline.hu_zyx, follow_up.hu_zyx, spacing)
    except ValueError as error:
        raise UnmatchedError(str(error)) from error
    if alignment.correlation < LEAST_CORRELATION:
        raise UnmatchedError(
            f"heads correlate by {alignment.correlation:.2f}, needed is {LEAST_CORRELATION}"
        )
    shape = baseline.hu_zyx.shape
    hu = apply_alignment(follow_up.hu_zyx, alignment, shape_zyx=shape, spacing_zyx_mm=spacing)
    covered = apply_alignment(
        (follow_up.label_zyx == 1).astype(np.float32),
        alignment,
        shape_zyx=shape,
        spacing_zyx_mm=spacing,
        outside=0.0,
    )
    before, after = baseline.label_zyx == 1, covered >= HALF_COVERED
    if not before.any() or not after.any():
        raise UnmatchedError("no hematoma is left on the common grid")
    brain = extract_brain(baseline.hu_zyx, spacing) | before
    sides = []
    for axis, size in enumerate(shape):
        others = tuple(other for other in range(3) if other != axis)
        found = np.flatnonzero((brain | after).any(axis=others))
        sides.append(slice(max(found[0] - _MARGIN, 0), min(found[-1] + _MARGIN + 1, size)))
    box = (sides[0], sides[1], sides[2])
    return GrowthPair(
        patient_id=patient_id,
        spacing_zyx_mm=spacing,
        baseline_hu_zyx=baseline.hu_zyx[box],
        follow_up_hu_zyx=np.round(hu[box]).astype(np.int16),
        brain_zyx=brain[box],
        baseline_zyx=before[box],
        follow_up_zyx=after[box],
        determinant=alignment.determinant,
        correlation=alignment.correlation,
    )


def _prepare(
    patient: Followed, folder: Path, how: Preparation, register_masks: RegisterMasks
) -> None:
    """Write a patient's made baselines first and the pair last, which marks them as whole."""
    pair = make_pair(patient.patient_id, *patient.read(how.spacing_zyx_mm))
    name = int.from_bytes(hashlib.sha256(patient.patient_id.encode()).digest()[:8], "big")
    for variant in range(1, how.shrinking.variants + 1):
        rng = np.random.default_rng([how.seed, name, variant])
        save_shrunk(
            folder,
            shrink_baseline(
                pair, variant=variant, how=how.shrinking, rng=rng, register_masks=register_masks
            ),
        )
    save_pair(folder, pair)


def _is_done(folder: Path, patient_id: str, how: Preparation) -> bool:
    found = len(load_shrunk(folder, patient_id))
    return pair_path(folder, patient_id).is_file() and found == how.shrinking.variants


def _claim(folder: Path, how: Preparation) -> None:
    """Write down how the folder's pairs are made, or check that it is the same way."""
    stated = json.loads(json.dumps(asdict(how)))
    path = folder / PREPARATION_FILE
    if not path.exists():
        path.write_text(json.dumps(stated, indent=1) + "\n")
    elif json.loads(path.read_text()) != stated:
        raise ValueError(f"{folder} holds pairs that were prepared in another way")
