"""Training patches drawn from a pool of cases that may grow while training runs."""

from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.volume import Vector
from training.cohort.case import Case, load_case
from training.cohort.patient_split import Part, PatientSplit
from training.cohort.regrid import on_grid
from training.cohort.split import in_validation
from training.segmentation.augmentation import (
    brighten_soft_tissue,
    sample_patch,
    vary_intensity,
)
from training.segmentation.insertion import (
    brain_interior,
    insert_bleed,
    insert_extra_axial,
    insert_ventricular,
)
from training.segmentation.recipe import Recipe


@dataclass(slots=True, eq=False)
class CasePool:
    """The prepared cases of some folders, divided by patient.

    Attributes
    ----------
    folders : list of Path
        Folders of ``*.npz`` cases; read again on every `refresh`.
    spacing_zyx_mm : Vector
        Grid that every case is brought to, the recipe's.
    validation_fraction : float
        Share of patients held out.
    validation_fractions : dict of str to float
        The share for single sources, where it differs.
    split : PatientSplit or None
        Decides instead of the shares; its test patients and those it does not name are not read.
    training, validation : dict of str to list of Case
        Cases by source.
    """

    folders: list[Path]
    spacing_zyx_mm: Vector
    validation_fraction: float
    validation_fractions: dict[str, float] = field(default_factory=dict)
    split: PatientSplit | None = None
    training: dict[str, list[Case]] = field(default_factory=lambda: defaultdict(list))
    validation: dict[str, list[Case]] = field(default_factory=lambda: defaultdict(list))
    _known: set[Path] = field(default_factory=set)

    def refresh(self) -> int:
        """Read cases that have appeared since the last call and return their number."""
        found = sorted(
            path
            for folder in self.folders
            for path in folder.glob("*.npz")
            if path not in self._known and not path.name.endswith(".part.npz")
        )
        for path in found:
            self._known.add(path)
            case = load_case(path)
            part = self._part_of(case)
            if part in (Part.TRAIN, Part.VALIDATION):
                case = on_grid(case, self.spacing_zyx_mm)
                chosen = self.training if part is Part.TRAIN else self.validation
                chosen[case.source].append(case)
        return len(found)

    def _part_of(self, case: Case) -> Part | None:
        if self.split is not None:
            return self.split.part_of(case.patient_id)
        fraction = self.validation_fractions.get(case.source, self.validation_fraction)
        held_out = in_validation(case.patient_id, fraction=fraction)
        return Part.VALIDATION if held_out else Part.TRAIN


def normalise(patch_zyx: NDArray[np.float32], recipe: Recipe) -> NDArray[np.float32]:
    """Return HU clipped and scaled as the recipe says."""
    clipped = np.clip(patch_zyx, recipe.clip_low_hu, recipe.clip_high_hu)
    return np.asarray((clipped - recipe.mean_hu) / recipe.sd_hu, dtype=np.float32)


def draw_patch(
    pool: CasePool, recipe: Recipe, rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Return one normalised patch and its label, both of shape (Z, Y, X).

    Raises
    ------
    ValueError
        If the pool holds no training case.
    """
    case = _draw_case(pool, recipe, rng)
    depth, height, width = recipe.patch_size_zyx
    corner = _draw_corner(case, depth, recipe, rng)
    _, rows, columns = case.hu_zyx.shape
    # A twentieth of the patch more than is needed to reach every edge.
    slack_y = max(rows - height, 0) / 2 + height / 20
    slack_x = max(columns - width, 0) / 2 + width / 20
    centre = (
        rows / 2 + rng.uniform(-slack_y, slack_y),
        columns / 2 + rng.uniform(-slack_x, slack_x),
    )
    patch, label = sample_patch(
        np.clip(case.hu_zyx, int(recipe.clip_low_hu), int(recipe.clip_high_hu)),
        case.label_zyx,
        corner_z=corner,
        centre_yx=centre,
        shape_zyx=recipe.patch_size_zyx,
        outside_hu=recipe.clip_low_hu,
        rng=rng,
        augmentation=recipe.augmentation,
    )
    if case.source != "simulated":
        _insert(patch, label, recipe, rng)
    if not (label == 1).any():
        patch = brighten_soft_tissue(patch, rng=rng)
    patch = vary_intensity(patch, rng=rng, augmentation=recipe.augmentation)
    return normalise(patch, recipe), label


def _draw_case(pool: CasePool, recipe: Recipe, rng: np.random.Generator) -> Case:
    sources = sorted(source for source, cases in pool.training.items() if cases)
    if not sources:
        raise ValueError(f"No training case in {', '.join(map(str, pool.folders))}")
    weights = np.array([recipe.sampling.weights.get(source, 1.0) for source in sources])
    source = sources[int(rng.choice(len(sources), p=weights / weights.sum()))]
    cases = pool.training[source]
    return cases[int(rng.integers(len(cases)))]


def _draw_corner(case: Case, depth: int, recipe: Recipe, rng: np.random.Generator) -> int:
    """Return the first slice of a slab, which shows hematoma as often as the recipe says."""
    if rng.random() < recipe.sampling.neck_share:
        return int(rng.integers(-depth // 3, depth // 4))
    with_blood = np.flatnonzero((case.label_zyx == 1).any(axis=(1, 2)))
    if with_blood.size and rng.random() < recipe.sampling.foreground_share:
        return int(rng.choice(with_blood)) - int(rng.integers(1, depth - 1))
    return int(rng.integers(-2, max(len(case.hu_zyx) - depth + 2, -1) + 1))


def _insert(
    patch: NDArray[np.float32],
    label: NDArray[np.uint8],
    recipe: Recipe,
    rng: np.random.Generator,
) -> None:
    sampling = recipe.sampling
    shares = (
        sampling.inserted_bleed_share,
        sampling.extra_axial_share,
        sampling.ventricular_share,
    )
    bleed, extra_axial, ventricular = (rng.random() < share for share in shares)
    if not (bleed or extra_axial or ventricular):
        return
    interior, distance = brain_interior(patch)
    if ventricular:
        insert_ventricular(patch, interior, rng)
    if bleed:
        for _ in range(int(rng.integers(1, 3))):
            insert_bleed(patch, label, interior, rng, spacing_zyx_mm=recipe.spacing_zyx_mm)
    if extra_axial:
        insert_extra_axial(patch, interior, distance, rng)
