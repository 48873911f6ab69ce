"""What looks like a hematoma or hides one: calcium, other bleeds, infarcts, beam hardening."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from training.phantom.brain import Brain
from training.phantom.fields import (
    Array,
    blend,
    ellipsoid,
    happens,
    inside,
    sigmoid,
    smooth_noise,
    tube,
)
from training.phantom.head_grid import HeadGrid
from training.phantom.traits import HeadTraits


class ExtraAxial(StrEnum):
    """A bleeding outside the brain."""

    NONE = "none"
    SUBDURAL = "subdural"
    EPIDURAL = "epidural"
    SUBARACHNOID = "subarachnoid"


@dataclass(frozen=True, slots=True, kw_only=True)
class DistractorPlan:
    """Which distractors one patient has.

    Attributes
    ----------
    extra_axial : ExtraAxial
        Kind of bleeding outside the brain.
    old_infarcts : int
        Number of old territorial infarcts.
    lacunes : int
        Number of lacunes.
    basal_calcium : bool
        Whether the globus pallidus is calcified on both sides.
    beam_hardening_hu : float
        Strength of the streaks between the petrous bones.
    """

    extra_axial: ExtraAxial
    old_infarcts: int
    lacunes: int
    basal_calcium: bool
    beam_hardening_hu: float


def draw_distractors(
    rng: np.random.Generator, traits: HeadTraits, *, extra_axial_share: float
) -> DistractorPlan:
    """Return random distractors; calcium and infarcts grow commoner with age."""
    kinds = (ExtraAxial.SUBDURAL, ExtraAxial.EPIDURAL, ExtraAxial.SUBARACHNOID)
    kind = kinds[rng.choice(3, p=(0.5, 0.15, 0.35))]
    aged = float(np.clip((traits.age_years - 30) / 50, 0, 1))
    return DistractorPlan(
        extra_axial=kind if rng.random() < extra_axial_share else ExtraAxial.NONE,
        old_infarcts=int(happens(rng, 0.12 * aged + 0.02)),
        lacunes=int(rng.poisson(1.2 * aged)),
        basal_calcium=happens(rng, 0.06 + 0.14 * aged),
        beam_hardening_hu=float(rng.gamma(2.0, 3.0)),
    )


def add_distractors(
    rng: np.random.Generator,
    grid: HeadGrid,
    brain: Brain,
    traits: HeadTraits,
    plan: DistractorPlan,
) -> Array:
    """Draw the distractors into the head in place.

    Returns
    -------
    ndarray of float32, shape (Z, Y, X)
        Share of each voxel that is blood outside the brain.
    """
    _add_infarcts(rng, grid, brain, traits, plan)
    _add_calcium(rng, grid, brain.hu_zyx, plan)
    extra = _add_extra_axial(rng, grid, brain, plan)
    _add_beam_hardening(rng, grid, brain, plan)
    return extra


def _add_infarcts(
    rng: np.random.Generator,
    grid: HeadGrid,
    brain: Brain,
    traits: HeadTraits,
    plan: DistractorPlan,
) -> None:
    for _ in range(plan.old_infarcts):
        side = int(rng.choice((-1, 1)))
        y0, z0 = float(rng.uniform(-45, 75)), float(rng.uniform(-5, 45))
        size = float(rng.uniform(11, 26))
        box = grid.around((side * 52, y0, z0), 45)
        x, y, z = grid.at(box)
        gap = ellipsoid(x, y, z, center=(side * 56, y0, z0), radii_mm=(1.4 * size, size, size))
        gap += 0.25 * size * smooth_noise(rng, x.shape, 18.0)
        share = inside(gap, 4.0) * inside(-brain.depth_mm[box]) * inside(np.float32(3) - side * x)
        blend(brain.hu_zyx[box], share, traits.fluid_hu + float(rng.uniform(3, 12)))
    for _ in range(plan.lacunes):
        side = int(rng.choice((-1, 1)))
        center = (
            side * float(rng.normal(21, 6)), float(rng.normal(3, 14)), float(rng.normal(10, 9)),
        )  # fmt: skip
        box = grid.around(center, 10)
        x, y, z = grid.at(box)
        size = float(rng.uniform(1.8, 5.0))
        spot = ellipsoid(x, y, z, center=center, radii_mm=(size, size * 1.3, size))
        blend(brain.hu_zyx[box], inside(spot, 1.5), traits.fluid_hu + float(rng.uniform(2, 10)))


def _add_calcium(
    rng: np.random.Generator, grid: HeadGrid, hu: Array, plan: DistractorPlan
) -> None:
    """Add calcium to pineal gland, choroid plexus, globus pallidus and falx."""
    spots: list[tuple[tuple[float, float, float], float, float]] = []
    if happens(rng, 0.65):
        spots.append(((0.0, 33.0, 2.0), rng.uniform(1.3, 3.2), rng.uniform(90, 320)))
    for side in (-1, 1):
        if happens(rng, 0.55):
            place = (side * rng.normal(25, 1.5), rng.normal(44, 2), rng.normal(11, 2))
            spots.append((place, rng.uniform(1.5, 4.0), rng.uniform(80, 300)))
        if plan.basal_calcium:
            place = (side * 19.5, rng.normal(1, 2), rng.normal(0, 2))
            spots.append((place, rng.uniform(1.8, 4.5), rng.uniform(70, 170)))
    for center, size, value in spots:
        box = grid.around(center, 12)
        x, y, z = grid.at(box)
        gap = ellipsoid(x, y, z, center=center, radii_mm=(size, size * 1.3, size))
        gap += 0.45 * size * smooth_noise(rng, x.shape, 4.5)
        blend(hu[box], inside(gap, 1.5), float(value))
    if happens(rng, 0.12):
        y0, z0 = float(rng.uniform(-45, -10)), float(rng.uniform(40, 62))
        box = grid.around((0, y0, z0), 14)
        x, y, z = grid.at(box)
        plate = ellipsoid(x, y, z, center=(0, y0, z0), radii_mm=(1.3, 8, 5))
        blend(hu[box], inside(plate), float(rng.uniform(200, 600)))


def _add_extra_axial(
    rng: np.random.Generator, grid: HeadGrid, brain: Brain, plan: DistractorPlan
) -> Array:
    share = np.zeros(grid.shape_zyx, dtype=np.float32)
    if plan.extra_axial is ExtraAxial.NONE:
        return share
    draw = {
        ExtraAxial.SUBDURAL: _subdural,
        ExtraAxial.EPIDURAL: _epidural,
        ExtraAxial.SUBARACHNOID: _subarachnoid,
    }[plan.extra_axial]
    draw(rng, grid, brain, share)
    return share


def _subdural(rng: np.random.Generator, grid: HeadGrid, brain: Brain, share: Array) -> None:
    """Add a crescent along one hemisphere, acute or half dissolved."""
    side = int(rng.choice((-1, 1)))
    low, high = sorted((side * 3, side * 74))
    box = grid.box((low, -75, -20), (high, 106, 82))
    x, y, z = grid.at(box)
    y0, z0 = float(rng.uniform(-20, 50)), float(rng.uniform(15, 45))
    reach = ((y - y0) / rng.uniform(40, 80)) ** 2 + ((z - z0) / rng.uniform(22, 45)) ** 2
    thickness = float(rng.uniform(3.5, 14)) * np.clip(1.15 - reach, 0, 1) ** 0.6
    thickness *= 1 + 0.12 * smooth_noise(rng, x.shape, 30.0)
    depth = brain.depth_mm[box]
    crescent = np.maximum(depth - thickness, 3 - side * x)
    part = inside(np.asarray(crescent, dtype=np.float32), 1.2) * inside(-depth)
    part *= inside(0.8 - thickness, 1.0) * inside(np.minimum(28 - side * x, 22 - z), 6.0)
    acute = happens(rng, 0.7)
    hu = rng.uniform(55, 74) if acute else rng.uniform(38, 52)
    value = np.asarray(hu + 4 * smooth_noise(rng, x.shape, 14.0), dtype=np.float32)
    blend(brain.hu_zyx[box], part, value)
    share[box] = part


def _epidural(rng: np.random.Generator, grid: HeadGrid, brain: Brain, share: Array) -> None:
    """Add a lens under the skull."""
    side = int(rng.choice((-1, 1)))
    y0, z0 = float(rng.uniform(-35, 60)), float(rng.uniform(-5, 45))
    box = grid.around((side * 60, y0, z0), 46)
    x, y, z = grid.at(box)
    width = float(rng.uniform(18, 34))
    reach = ((y - y0) / width) ** 2 + ((z - z0) / (width * 0.85)) ** 2
    thickness = float(rng.uniform(6, 20)) * (1.0 - reach)
    depth = brain.depth_mm[box]
    lens = np.maximum(depth - thickness, 20 - side * x)
    part = inside(np.asarray(lens, dtype=np.float32), 1.2) * inside(-depth)
    value = rng.uniform(58, 74) + 4 * smooth_noise(rng, x.shape, 12.0)
    blend(brain.hu_zyx[box], part, np.asarray(value, dtype=np.float32))
    share[box] = part


def _subarachnoid(rng: np.random.Generator, grid: HeadGrid, brain: Brain, share: Array) -> None:
    """Fill cisterns or sulci of a region with thin blood."""
    basal = happens(rng, 0.5)
    center = (0.0, 0.0, -16.0) if basal else (
        float(rng.choice((-1, 1)) * 48), float(rng.uniform(-40, 60)), float(rng.uniform(0, 45)),
    )  # fmt: skip
    reach_mm = float(rng.uniform(24, 40))
    box = grid.around(center, reach_mm + 8)
    x, y, z = grid.at(box)
    region = ellipsoid(x, y, z, center=center, radii_mm=(reach_mm, reach_mm, 0.8 * reach_mm))
    region += 6 * smooth_noise(rng, x.shape, 20.0)
    part = inside(brain.fluid_mm[box] - 0.3, 1.4) * inside(region, 8.0)
    part *= inside(0.5 - brain.depth_mm[box]) * (1 - brain.ventricle[box])
    strength = float(rng.uniform(0.6, 1.0))
    blend(brain.hu_zyx[box], part * np.float32(strength), float(rng.uniform(48, 66)))
    share[box] = part


def _add_beam_hardening(
    rng: np.random.Generator, grid: HeadGrid, brain: Brain, plan: DistractorPlan
) -> None:
    """Add the streaks between the petrous bones and the bright rim under the skull."""
    box = grid.box((-74, -78, -70), (74, 110, 82))
    depth = brain.depth_mm[box]
    rim = np.float32(rng.uniform(1.0, 4.5)) * np.exp(-np.maximum(depth, 0) / np.float32(5.0))
    brain.hu_zyx[box] += rim * inside(-depth)
    box = grid.box((-60, -40, -62), (60, 80, -14))
    x, y, z = grid.at(box)
    band = np.exp(-(((y - 24) / 11) ** 2) - ((z + 36) / 11) ** 2)
    streaks = smooth_noise(rng, x.shape, (7.0, 7.0, 70.0)) - 0.9
    within = inside(-brain.depth_mm[box])
    brain.hu_zyx[box] += np.asarray(plan.beam_hardening_hu * band * streaks * within)
    for side in (-1, 1):
        if happens(rng, 0.3):
            ray = tube(
                x, y, z, path=((side * 36, 24, -36), (-side * 10, 62, -36)), radii_mm=[1, 3]
            )
            shade = inside(ray, 3.0) * within
            brain.hu_zyx[box] -= np.asarray(1.2 * plan.beam_hardening_hu * shade)
    brain.hu_zyx[box] += sigmoid(np.asarray(-40 - z, dtype=np.float32)) * within * np.float32(1.0)
