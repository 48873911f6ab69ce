"""Many hematomas in few simulated heads: triplets at a fraction of a whole scan's cost."""

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np

from pipeline.expansion import meets_expansion_rule
from pipeline.prediction import HeLabel
from pipeline.slice_input import SliceInput
from pipeline.triplet import SliceTriplet, crop_triplet
from pipeline.volume import CtVolume, HematomaMask
from training.classification.case import TripletCase, cut_words, images_of, masks_of
from training.classification.simulated_signs import SIGN_NAMES, recorded_signs
from training.phantom.bleeding import bleed_into
from training.phantom.brain import Brain, build_brain
from training.phantom.centre import Centre, centre_of
from training.phantom.course import draw_course
from training.phantom.distractors import add_distractors, draw_distractors
from training.phantom.fields import Array
from training.phantom.growth import (
    Growth,
    draw_growth,
    largest_follow_up_ml,
)
from training.phantom.head_grid import HeadGrid, draw_grid
from training.phantom.labels import Label
from training.phantom.lesion_plan import LesionPlan, draw_plan
from training.phantom.scanner import (
    Protocol,
    ScannerHabits,
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

#: Smallest cross-section that is cut, in pixels: below it there is nothing to see.
SMALLEST_SLICE_PX = 40


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EmptyHead:
    """A head into which hematomas can be put one after the other."""

    traits: HeadTraits
    grid: HeadGrid
    brain: Brain
    extra_axial: Array


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class DrawnLesion:
    """A hematoma with its future.

    Attributes
    ----------
    plan : LesionPlan
        What is put into the head.
    growth : Growth
        What becomes of it.
    chance : float
        Chance of expansion, as far as an image can tell it.
    room_ml : float
        As for `training.phantom.bleeding.bleed_into`.
    """

    plan: LesionPlan
    growth: Growth
    chance: float
    room_ml: float = 0.0

    @property
    def expands(self) -> bool:
        """Whether it meets the rule of expansion."""
        return meets_expansion_rule(self.plan.volume_ml, self.growth.follow_up_ml)


def simulate_lesions(
    *,
    seed: int,
    head: int,
    lesions: int,
    he_share: float | None,
    centres: Sequence[Centre] = (),
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
    centres : sequence of Centre, optional
        Where the heads are, whose scanners differ and whose images tell only a part of the
        risk, as with `ichtrain phantom --centres`.
    """
    body, illness, scanner, noise = (
        np.random.default_rng(stream) for stream in np.random.SeedSequence([seed, head]).spawn(4)
    )
    empty = _empty_head(body, illness)
    centre = centre_of(centres, seed=seed, index=head) if centres else None
    habits = ScannerHabits() if centre is None else centre.scanner
    for number in range(lesions):
        while True:
            lesion = _drawn_lesion(illness, he_share, centre)
            filled = bleed_into(
                illness,
                empty.grid,
                empty.brain,
                empty.extra_axial,
                lesion.plan,
                lesion.growth,
                room_ml=lesion.room_ml,
            )
            scanned = _scanned(scanner, noise, empty.traits, filled, habits)
            if scanned is not None:
                break
        yield _case(
            lesion_identity(seed=seed, head=head, number=number),
            lesion,
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


def _drawn_lesion(
    rng: np.random.Generator, he_share: float | None, centre: Centre | None
) -> DrawnLesion:
    wants_he = None if he_share is None else bool(rng.random() < he_share)
    while True:
        lesion = _any_lesion(rng, centre)
        if wants_he is None or wants_he == lesion.expands:
            return lesion


def _any_lesion(rng: np.random.Generator, centre: Centre | None) -> DrawnLesion:
    plan = draw_plan(rng)
    if centre is None:
        growth = draw_growth(rng, plan)
        return DrawnLesion(plan=plan, growth=growth, chance=growth.probability)
    course = draw_course(rng, centre, plan)
    if course.growth is None:
        raise ValueError("A planned hematoma must have a course")
    return DrawnLesion(
        plan=plan,
        growth=course.growth,
        chance=course.visible_probability,
        room_ml=largest_follow_up_ml(plan),
    )


def _scanned(
    rng: np.random.Generator,
    noise: np.random.Generator,
    traits: HeadTraits,
    head: Head,
    habits: ScannerHabits,
) -> tuple[SliceTriplet, HematomaMask] | None:
    """Return triplet and mask of a scan of the slices around the lesion; None if it misses it."""
    thickness = float(rng.choice(habits.thickness_mm, p=habits.thickness_shares))
    top = 78 * traits.scale_xyz[2] + traits.skull_mm + traits.scalp_mm
    whole = draw_protocol(
        rng, slice_thickness_mm=thickness, tilt_deg=None, top_mm=top, habits=habits
    )
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
    lesion: DrawnLesion,
    triplet: SliceTriplet,
    mask: HematomaMask,
    *,
    patient_id: str,
) -> TripletCase:
    signs = lesion.plan.signs
    return TripletCase(
        case_id=case_id,
        patient_id=patient_id,
        label=HeLabel.HE if lesion.expands else HeLabel.NHE,
        images_yx=images_of(triplet),
        signs=recorded_signs(
            {name: getattr(signs, name) for name in SIGN_NAMES},
            irregularity=signs.irregularity,
            volume_ml=lesion.plan.volume_ml,
            expansion_probability=lesion.chance,
        ),
        cut=cut_words(SliceInput()),
        masks_yx=masks_of(triplet, mask),
    )
