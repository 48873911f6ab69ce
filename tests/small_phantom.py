"""A simulated patient small enough to be built in an instant: 4 slices of 16 by 16 pixels."""

import numpy as np

from pipeline.volume import CtVolume, VoxelGrid
from training.phantom.centre import centre_of
from training.phantom.course import draw_course
from training.phantom.distractors import DistractorPlan, ExtraAxial
from training.phantom.growth import draw_growth
from training.phantom.host import Host
from training.phantom.labels import Label
from training.phantom.lesion_plan import draw_plan
from training.phantom.patient import PhantomOptions, SimulatedPatient, SimulatedScan
from training.phantom.scanner import Protocol
from training.phantom.traits import draw_traits

SLICES, PIXELS, PIXEL_MM, STEP_MM = 4, 16, 0.5, 5.0


def small_protocol(tilt_deg: float = 0.0) -> Protocol:
    """Return a protocol of 5 mm slices; 0.5 mm pixels."""
    return Protocol(
        slice_thickness_mm=STEP_MM,
        pixel_mm=PIXEL_MM,
        tilt_deg=tilt_deg,
        noise_hu=3.0,
        kernel_px=1.0,
        rotation_deg=(0.0, 0.0, 0.0),
        shift_mm=(0.0, 0.0),
        first_mm=-10.0,
        last_mm=5.0,
        motion_mm=0.0,
        has_head_rest=False,
    )


def small_scan(
    seed: int, hematoma_pixels: int, *, tilt_deg: float = 0.0, slices: int = SLICES
) -> SimulatedScan:
    """Return a scan with so many hematoma pixels in its second slice."""
    rng = np.random.default_rng(seed)
    hu = rng.integers(-1024, 3072, (slices, PIXELS, PIXELS), dtype=np.int16)
    labels = np.zeros(hu.shape, dtype=np.uint8)
    labels[1].ravel()[:hematoma_pixels] = Label.HEMATOMA
    angle = np.radians(tilt_deg)
    grid = VoxelGrid(
        shape_zyx=hu.shape,
        pixel_spacing_yx_mm=(PIXEL_MM, PIXEL_MM),
        column_cosine_lps=(0.0, float(np.cos(angle)), -float(np.sin(angle))),
        slice_origins_lps_mm=tuple((-4.0, -4.0, -10.0 + k * STEP_MM) for k in range(slices)),
        frame_of_reference_uid=f"2.25.{seed + 1}",
    )
    return SimulatedScan(
        volume=CtVolume(hu_zyx=hu, grid=grid),
        labels_zyx=labels,
        protocol=small_protocol(tilt_deg),
        hours_from_onset=2.0,
    )


def small_patient(
    *, seed: int, index: int, options: PhantomOptions, host: Host | None = None
) -> SimulatedPatient:
    """Stand in for `simulate_patient`: the same signature, no anatomy."""
    rng = np.random.default_rng([seed, index])
    lesion = draw_plan(rng)
    course = None
    if options.centres:
        centre = centre_of(options.centres, seed=seed, index=index)
        course = draw_course(rng, centre, lesion)
    return SimulatedPatient(
        seed=seed,
        index=index,
        patient_id=f"SIM{index:04d}",
        anatomy_name="small" if host is None else host.name,
        traits=draw_traits(rng),
        distractors=DistractorPlan(
            extra_axial=ExtraAxial.NONE,
            old_infarcts=0,
            lacunes=0,
            basal_calcium=False,
            beam_hardening_hu=0.0,
        ),
        lesion=lesion,
        growth=draw_growth(rng, lesion) if course is None else course.growth,
        baseline=small_scan(index, 40),
        follow_up=small_scan(index + 500, 60) if options.follow_up else None,
        course=course,
    )
