"""One simulated patient: the head, its hematoma, a first scan and a second."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pipeline.expansion import meets_expansion_rule
from pipeline.volume import CtVolume, HematomaMask, VoxelGrid
from training.phantom.bleeding import bleed_into
from training.phantom.brain import build_brain
from training.phantom.centre import Centre, centre_of
from training.phantom.course import Course, aged, draw_course
from training.phantom.distractors import DistractorPlan, add_distractors, draw_distractors
from training.phantom.growth import (
    Growth,
    draw_growth,
    largest_follow_up_ml,
)
from training.phantom.head_grid import draw_grid
from training.phantom.host import Host
from training.phantom.host_head import grain_hu, host_brain
from training.phantom.identifiers import simulated_uid
from training.phantom.labels import Label
from training.phantom.lesion_plan import LesionPlan, draw_plan
from training.phantom.scanner import (
    Protocol,
    ScannerHabits,
    develop,
    draw_protocol,
    head_lattice,
    slice_grid,
)
from training.phantom.scene import Head, expose
from training.phantom.skull import build_skull
from training.phantom.traits import HeadTraits, draw_traits

#: Name of the anatomy of a head that is simulated altogether.
SIMULATED_ANATOMY = "simulated"


@dataclass(frozen=True, slots=True, kw_only=True)
class PhantomOptions:
    """What kind of patients to simulate.

    Attributes
    ----------
    slice_thickness_mm : float or None
        Thickness of the slices; None draws mostly 5 mm, sometimes 2.5 or 1.25 mm.
    tilt_deg : float or None
        Gantry tilt; None draws it.
    follow_up : bool
        Whether a second scan is taken.
    no_hematoma_share : float
        Share of patients without any hematoma in the brain, 0 to 1.
    extra_axial_share : float
        Share of patients who bleed outside the brain (three times as often where there is no
        hematoma), 0 to 1.
    centres : tuple of Centre
        Where the patients are; empty for one cohort without centres, in which images tell all
        of the risk.

    Raises
    ------
    ValueError
        If a share lies outside 0 to 1 or the thickness outside 0.5 to 10 mm.
    """

    slice_thickness_mm: float | None = None
    tilt_deg: float | None = None
    follow_up: bool = True
    no_hematoma_share: float = 0.0
    extra_axial_share: float = 0.06
    centres: tuple[Centre, ...] = ()

    def __post_init__(self) -> None:
        for name in ("no_hematoma_share", "extra_axial_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must lie in 0 to 1, got {getattr(self, name)}")
        if self.slice_thickness_mm is not None and not 0.5 <= self.slice_thickness_mm <= 10:  # noqa: PLR2004 - the limits are in the message
            raise ValueError(
                f"Slice thickness must lie in 0.5 to 10 mm, got {self.slice_thickness_mm} mm"
            )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SimulatedScan:
    """One scan with its truth.

    Attributes
    ----------
    volume : CtVolume
        The scan in HU.
    labels_zyx : ndarray of uint8, shape (Z, Y, X)
        Codes of `Label`. Read-only.
    protocol : Protocol
        How it was taken.
    hours_from_onset : float
        When, counted from the onset of symptoms.
    """

    volume: CtVolume
    labels_zyx: NDArray[np.uint8]
    protocol: Protocol
    hours_from_onset: float

    def __post_init__(self) -> None:
        view = self.labels_zyx.view()
        view.flags.writeable = False
        object.__setattr__(self, "labels_zyx", view)

    @property
    def mask(self) -> HematomaMask:
        """The hematoma within the brain, the truth for segmentation."""
        return HematomaMask(
            voxels_zyx=self.labels_zyx == int(Label.HEMATOMA), grid=self.volume.grid
        )

    def label_ml(self, label: Label) -> float:
        """Return the volume of a label in mL, by voxels on the scan's own grid."""
        return label_volume_ml(self.labels_zyx, self.volume.grid, label)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SimulatedPatient:
    """A simulated patient with everything that is known of them.

    Attributes
    ----------
    seed, index : int
        What the patient was made from.
    patient_id : str
        Identifier, such as SIM0001.
    anatomy_name : str
        ``simulated``, or the name of the real anatomy.
    traits : HeadTraits
        Size, age and tissue of the head.
    distractors : DistractorPlan
        What else there is to see.
    lesion : LesionPlan or None
        The hematoma; None where the patient has none.
    growth : Growth or None
        Its planned course; None where there is no hematoma.
    baseline : SimulatedScan
        The first scan.
    follow_up : SimulatedScan or None
        The second; None if none was asked for, or the patient was lost.
    course : Course or None
        Centre and chart; None in a cohort without centres.
    """

    seed: int
    index: int
    patient_id: str
    anatomy_name: str
    traits: HeadTraits
    distractors: DistractorPlan
    lesion: LesionPlan | None
    growth: Growth | None
    baseline: SimulatedScan
    follow_up: SimulatedScan | None
    course: Course | None = None

    @property
    def baseline_ml(self) -> float:
        """Volume of the hematoma on the first scan, measured on its mask."""
        return self.baseline.label_ml(Label.HEMATOMA)

    @property
    def follow_up_ml(self) -> float:
        """Volume at the second scan: measured, or grown as planned if none was taken."""
        if self.follow_up is not None:
            return self.follow_up.label_ml(Label.HEMATOMA)
        if self.growth is None or self.lesion is None:
            return 0.0
        return self.baseline_ml * self.growth.follow_up_ml / self.lesion.volume_ml

    @property
    def has_expansion(self) -> bool:
        """Whether the hematoma grew by more than 6 mL or 33 % between the scans."""
        if self.lesion is None:
            return False
        return meets_expansion_rule(self.baseline_ml, self.follow_up_ml)


def simulate_patient(
    *, seed: int, index: int, options: PhantomOptions, host: Host | None = None
) -> SimulatedPatient:
    """Return patient number `index` of the cohort `seed`; the same numbers, the same patient.

    Parameters
    ----------
    seed, index : int
        What everything is drawn from.
    options : PhantomOptions
        What kind of patient.
    host : Host, optional
        Real anatomy to use instead of a simulated head.
    """
    streams = np.random.SeedSequence([seed, index]).spawn(6)
    body, illness, first, second, noise, life = map(np.random.default_rng, streams)
    traits = _traits(body, host)
    lesion = None if illness.random() < options.no_hematoma_share else draw_plan(illness)
    course = _course(life, options, lesion, seed=seed, index=index)
    if course is not None:
        growth, traits = course.growth, aged(traits, course)
    else:
        growth = None if lesion is None else draw_growth(illness, lesion)
    share = options.extra_axial_share * (3 if lesion is None else 1)
    distractors = draw_distractors(illness, traits, extra_axial_share=min(share, 1.0))
    head, grain = _build_head(
        body, illness, traits, distractors, lesion, growth, host, is_blind=course is not None
    )
    place = _Place(
        habits=ScannerHabits() if course is None else course.centre.scanner,
        tilt_deg=options.tilt_deg,
        top_mm=78 * traits.scale_xyz[2] + traits.skull_mm + traits.scalp_mm,
        grain_hu=grain,
        host=host,
        key=(seed, index, _anatomy_name(host), *_centre_names(course)),
    )
    thickness = _thickness(first, options, place.habits)
    onset = lesion.hours_from_onset if lesion is not None else float(illness.uniform(0.5, 24))

    def take(rng: np.random.Generator, *, hours: float, is_follow_up: bool) -> SimulatedScan:
        protocol, uid = place.protocol(rng, thickness, is_follow_up=is_follow_up)
        return _scan(noise, head, protocol, uid, hours=hours, is_follow_up=is_follow_up)

    baseline = take(first, hours=onset, is_follow_up=False)
    is_seen_again = options.follow_up and not (course is not None and course.clinical.lost)
    later = onset + (growth.hours_between if growth is not None else 24.0)
    return SimulatedPatient(
        seed=seed,
        index=index,
        patient_id=f"SIM{index:04d}",
        anatomy_name=_anatomy_name(host),
        traits=traits,
        distractors=distractors,
        lesion=lesion,
        growth=growth,
        baseline=baseline,
        follow_up=take(second, hours=later, is_follow_up=True) if is_seen_again else None,
        course=course,
    )


def label_volume_ml(labels_zyx: NDArray[np.uint8], grid: VoxelGrid, label: Label) -> float:
    """Return the volume of a label in mL: area of each slice times the slab it stands for."""
    counts = (labels_zyx == int(label)).sum(axis=(1, 2))
    area_mm2 = grid.pixel_spacing_yx_mm[0] * grid.pixel_spacing_yx_mm[1]
    return float((counts * grid.slice_extents_mm).sum() * area_mm2 / 1000)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """Where a patient is scanned, whatever changes from scan to scan left aside."""

    habits: ScannerHabits
    tilt_deg: float | None
    top_mm: float
    grain_hu: float
    host: Host | None
    key: tuple[str | int, ...]

    def protocol(
        self, rng: np.random.Generator, thickness_mm: float, *, is_follow_up: bool
    ) -> tuple[Protocol, str]:
        """Return how the next scan is taken, and the identifier of its frame of reference."""
        protocol = draw_protocol(
            rng,
            slice_thickness_mm=thickness_mm,
            tilt_deg=self.tilt_deg,
            top_mm=self.top_mm,
            habits=self.habits,
        )
        uid = simulated_uid(*self.key, "follow_up" if is_follow_up else "baseline", "frame")
        return _suited(protocol, self.host, self.grain_hu), uid


def _traits(rng: np.random.Generator, host: Host | None) -> HeadTraits:
    traits = draw_traits(rng)
    if host is None:
        return traits
    size = host.scale * (1 + 0.025 * rng.standard_normal(3))
    return replace(traits, scale_xyz=(float(size[0]), float(size[1]), float(size[2])))


def _course(
    rng: np.random.Generator,
    options: PhantomOptions,
    lesion: LesionPlan | None,
    *,
    seed: int,
    index: int,
) -> Course | None:
    if not options.centres:
        return None
    centre = centre_of(options.centres, seed=seed, index=index)
    return draw_course(rng, centre, lesion)


def _anatomy_name(host: Host | None) -> str:
    return SIMULATED_ANATOMY if host is None else host.name


def _centre_names(course: Course | None) -> tuple[str, ...]:
    return () if course is None else (course.centre.name,)


def _build_head(
    body: np.random.Generator,
    illness: np.random.Generator,
    traits: HeadTraits,
    distractors: DistractorPlan,
    lesion: LesionPlan | None,
    growth: Growth | None,
    host: Host | None,
    *,
    is_blind: bool,
) -> tuple[Head, float]:
    """Return the head, and the noise in HU that it brings along.

    A blind head is built the same whatever becomes of its hematoma.
    """
    grid = draw_grid(body, traits.scale_xyz)
    if host is None:
        skull = build_skull(body, grid, traits)
        brain = build_brain(body, grid, traits, hu_zyx=skull.hu_zyx, depth_mm=skull.depth_mm)
        grain = 0.0
    else:
        brain = host_brain(body, grid, traits, host)
        grain = grain_hu(brain)
    extra = add_distractors(body, grid, brain, traits, distractors)
    room_ml = largest_follow_up_ml(lesion) if is_blind and lesion is not None else 0.0
    head = bleed_into(illness, grid, brain, extra, lesion, growth, grain_hu=grain, room_ml=room_ml)
    return head, grain


def _suited(protocol: Protocol, host: Host | None, grain: float) -> Protocol:
    """Return the protocol less what a real head brings along: its noise and its head rest.

    The head's own noise shrinks by the averaging of its 1 mm voxels over a slice.
    """
    if host is None:
        return protocol
    own = grain**2 / max(1.0, protocol.slice_thickness_mm / 1.5)
    return replace(
        protocol,
        noise_hu=float(np.sqrt(max(protocol.noise_hu**2 - own, 1.0))),
        has_head_rest=protocol.has_head_rest and not host.has_skull,
    )


def _thickness(rng: np.random.Generator, options: PhantomOptions, habits: ScannerHabits) -> float:
    drawn = float(rng.choice(habits.thickness_mm, p=habits.thickness_shares))
    return drawn if options.slice_thickness_mm is None else options.slice_thickness_mm


def _scan(
    rng: np.random.Generator,
    head: Head,
    protocol: Protocol,
    uid: str,
    *,
    hours: float,
    is_follow_up: bool,
) -> SimulatedScan:
    lattice = head_lattice(protocol)
    exposure = expose(head, lattice, protocol, is_follow_up=is_follow_up)
    grid = slice_grid(protocol, frame_of_reference_uid=f"{uid}{int(is_follow_up)}")
    volume = CtVolume(
        hu_zyx=develop(rng, exposure.hu_zyx, protocol),
        grid=grid,
        slice_thickness_mm=(protocol.slice_thickness_mm,) * protocol.slices,
    )
    return SimulatedScan(
        volume=volume, labels_zyx=exposure.labels_zyx, protocol=protocol, hours_from_onset=hours
    )
