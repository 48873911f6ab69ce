"""Many hematomas in few simulated heads: triplets at a fraction of a whole scan's cost."""

import dataclasses
from collections.abc import Iterator

import numpy as np

from pipeline.prediction import HeLabel
from pipeline.slice_input import SliceInput
from pipeline.triplet import SliceTriplet, crop_triplet
from pipeline.volume import CtVolume, HematomaMask
from training.classification.case import TripletCase, cut_words, images_of, masks_of
from training.classification.simulated_signs import SIGN_NAMES, recorded_signs
from training.phantom.bleeding import bleed_into
from training.phantom.brain import Brain, build_brain
from training.phantom.distractors import add_distractors, draw_distractors
from training.phantom.fields import Array
from training.phantom.growth import Growth, draw_growth, meets_expansion_rule
from training.phantom.head_grid import HeadGrid, draw_grid
from training.phantom.labels import Label
from training.phantom.lesion_plan import LesionPlan, draw_plan
from training.phantom.scanner import (
    Protocol,
    develop,
    draw_protocol,
    head_lattice,
    rotation_matrix,
    slice_grid,
)
from training.phantom.scene import Head, expose
from training.phantom.skull import build_skull
from training.phantom.traits import HeadTraits, draw_traits

#: Slices are taken this far below and above the bleeding point. The largest slice of most
#: hematomas and both its neighbours lie within; the few others are drawn again.
HALF_RANGE_MM = 20.0

#: Thicknesses and how often, as the phantom draws them.
THICKNESSES_MM, THICKNESS_SHARES = (5.0, 2.5, 1.25), (0.9, 0.08, 0.02)

#: Smallest cross-section that is cut, in pixels: below it there is nothing to see.
SMALLEST_SLICE_PX = 40


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EmptyHead:
    """A head into which hematomas can be put one after the other."""

    traits: HeadTraits
    grid: HeadGrid
    brain: Brain
    extra_axial: Array


def simulate_lesions(
    *, seed: int, head: int, lesions: int, he_share: float | None
) -> Iterator[TripletCase]:
    """Yield cases of different hematomas in one head; the same numbers, the same triplets.

    All hematomas of one head count as one patient's, so that a split keeps them together.

    Parameters
    ----------
    seed, head : int
        Seed of the cohort and number of the head.
    lesions : int
        How many hematomas are put into it.
    he_share : float or None
        Share that expands; each outcome keeps the signs that go with it. None leaves it to
        the simulator (about 20 %).
    """
    body, illness, scanner, noise = (
        np.random.default_rng(stream) for stream in np.random.SeedSequence([seed, head]).spawn(4)
    )
    empty = _empty_head(body, illness)
    for number in range(lesions):
        while True:
            plan, growth = _drawn_lesion(illness, he_share)
            filled = bleed_into(illness, empty.grid, empty.brain, empty.extra_axial, plan, growth)
            scanned = _scanned(scanner, noise, empty.traits, filled)
            if scanned is not None:
                break
        yield _case(
            lesion_identity(seed=seed, head=head, number=number),
            plan,
            growth,
            *scanned,
            patient_id=_head_identity(seed=seed, head=head),
        )


def lesion_identity(*, seed: int, head: int, number: int) -> str:
    """Return the case id of one hematoma in one head of a cohort."""
    return f"{_head_identity(seed=seed, head=head)}-{number:02d}"


def _head_identity(*, seed: int, head: int) -> str:
    return f"seed{seed}-head{head:04d}"


def _empty_head(body: np.random.Generator, illness: np.random.Generator) -> EmptyHead:
    traits = draw_traits(body)
    distractors = draw_distractors(illness, traits, extra_axial_share=0.0)
    grid = draw_grid(body, traits.scale_xyz)
    skull = build_skull(body, grid, traits)
    brain = build_brain(body, grid, traits, hu_zyx=skull.hu_zyx, depth_mm=skull.depth_mm)
    extra_axial = add_distractors(body, grid, brain, traits, distractors)
    return EmptyHead(traits=traits, grid=grid, brain=brain, extra_axial=extra_axial)


def _drawn_lesion(rng: np.random.Generator, he_share: float | None) -> tuple[LesionPlan, Growth]:
    wants_he = None if he_share is None else bool(rng.random() < he_share)
    while True:
        plan = draw_plan(rng)
        growth = draw_growth(rng, plan)
        if wants_he is None or wants_he == _expands(plan, growth):
            return plan, growth


def _expands(plan: LesionPlan, growth: Growth) -> bool:
    return meets_expansion_rule(plan.volume_ml, growth.follow_up_ml)


def _scanned(
    rng: np.random.Generator, noise: np.random.Generator, traits: HeadTraits, head: Head
) -> tuple[SliceTriplet, HematomaMask] | None:
    """Return triplet and mask of a scan of the slices around the lesion; None if it misses it."""
    thickness = float(rng.choice(THICKNESSES_MM, p=THICKNESS_SHARES))
    top = 78 * traits.scale_xyz[2] + traits.skull_mm + traits.scalp_mm
    whole = draw_protocol(rng, slice_thickness_mm=thickness, tilt_deg=None, top_mm=top)
    table_mm = _table_position_mm(whole, head)
    protocol = dataclasses.replace(
        whole, first_mm=table_mm - HALF_RANGE_MM, last_mm=table_mm + HALF_RANGE_MM
    )
    exposure = expose(head, head_lattice(protocol), protocol, is_follow_up=False)
    areas = (exposure.labels_zyx == int(Label.HEMATOMA)).sum(axis=(1, 2))
    largest_mm = protocol.first_mm + int(areas.argmax()) * thickness
    if (
        areas.max() < SMALLEST_SLICE_PX
        or min(largest_mm - protocol.first_mm, protocol.last_mm - largest_mm) < thickness
    ):
        return None
    grid = slice_grid(protocol, frame_of_reference_uid="")
    volume = CtVolume(hu_zyx=develop(noise, exposure.hu_zyx, protocol), grid=grid)
    mask = HematomaMask(voxels_zyx=exposure.labels_zyx == int(Label.HEMATOMA), grid=grid)
    return crop_triplet(volume, mask), mask


def _table_position_mm(protocol: Protocol, head: Head) -> float:
    """Return where on the table the slice through the bleeding point lies."""
    _, y, z = rotation_matrix(protocol.rotation_deg) @ np.asarray(head.center_mm)
    y += protocol.shift_mm[1]
    return float(z + y * np.tan(np.radians(protocol.tilt_deg)))


def _case(
    case_id: str,
    plan: LesionPlan,
    growth: Growth,
    triplet: SliceTriplet,
    mask: HematomaMask,
    *,
    patient_id: str,
) -> TripletCase:
    signs = plan.signs
    return TripletCase(
        case_id=case_id,
        patient_id=patient_id,
        label=HeLabel.HE if _expands(plan, growth) else HeLabel.NHE,
        images_yx=images_of(triplet),
        signs=recorded_signs(
            {name: getattr(signs, name) for name in SIGN_NAMES},
            irregularity=signs.irregularity,
            volume_ml=plan.volume_ml,
            expansion_probability=growth.probability,
        ),
        cut=cut_words(SliceInput()),
        masks_yx=masks_of(triplet, mask),
    )
