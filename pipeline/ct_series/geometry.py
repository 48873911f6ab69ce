"""The grid of a stack of slices, and what is unusual about it."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.ct_series.refusal import refusal
from pipeline.ct_series.slices import CtSlice
from pipeline.quality_flags import QualityFlag
from pipeline.rejection import RejectionCode
from pipeline.volume import VoxelGrid

#: Fewest slices that are called a scan of a head. The oldest protocols take 10 mm slices, of which
#: six cover `MIN_COVERAGE_MM`; the classifier needs three around the hematoma.
MIN_SLICES = 6

#: Shortest extent along the normal that is called a scan of a head. A brain is 110 to 140 mm high;
#: half of it may hold a hematoma and be worth an opinion, a slab of a few slices is not.
MIN_COVERAGE_MM = 60.0

#: Longest step between slices that is bridged by interpolation: two missing slices of 5 mm, or
#: one slice between two of 7 mm. A longer one could hide a hematoma of 2 mL (a ball of 16 mm).
MAX_STEP_MM = 15.0

#: A step that exceeds its neighbours' and the slices' thickness by this factor is a gap.
GAP_FACTOR = 1.5

#: Steps on each side that tell what a step should be, so that a scan with thin slices at the
#: base and thick ones above has no gap where the protocol changes.
NEIGHBOUR_STEPS = 3

#: Nominal thickness above which slices are thick, with room for rounding.
THICK_MM = 5.01

#: Nominal thicknesses that differ by less are the same.
SAME_THICKNESS_MM = 0.05

#: Shear up to which a stack is upright: at 0.5 degrees the top of a head is shifted by 1 mm.
UPRIGHT_DEG = 0.5

#: Angle from which slices count as inclined against the patient's axes.
OBLIQUE_DEG = 2.0


def grid_of(slices: Sequence[CtSlice]) -> VoxelGrid:
    """Return the grid of slices sorted from inferior to superior.

    Raises
    ------
    SeriesRejectedError
        TOO_FEW_SLICES, COVERAGE or GAP.
    """
    first = slices[0]
    if len(slices) < MIN_SLICES:
        raise refusal(
            RejectionCode.TOO_FEW_SLICES,
            found=f"{len(slices)} slice positions",
            needed=f"at least {MIN_SLICES}",
        )
    grid = VoxelGrid(
        shape_zyx=(len(slices), *first.shape_yx),
        pixel_spacing_yx_mm=first.pixel_spacing_yx_mm,
        row_cosine_lps=first.row_cosine_lps,
        column_cosine_lps=first.column_cosine_lps,
        slice_origins_lps_mm=tuple(image.origin_lps_mm for image in slices),
        frame_of_reference_uid=first.header.text("FrameOfReferenceUID"),
    )
    longest = float(grid.slice_steps_mm.max())
    if longest > MAX_STEP_MM:
        raise refusal(
            RejectionCode.GAP,
            found=f"a step of {longest:.1f} mm between slices",
            needed=f"at most {MAX_STEP_MM:g} mm",
        )
    coverage = float(grid.slice_extents_mm.sum())
    if coverage < MIN_COVERAGE_MM:
        raise refusal(
            RejectionCode.COVERAGE,
            found=f"{coverage:.1f} mm along the slice normal",
            needed=f"at least {MIN_COVERAGE_MM:g} mm",
        )
    return grid


def geometry_flags(slices: Sequence[CtSlice], grid: VoxelGrid) -> frozenset[QualityFlag]:
    """Return what a reader should know about thickness, spacing and tilt of the stack."""
    thickness = thicknesses_mm(slices)
    shear = shear_deg(grid)
    found = {
        QualityFlag.THICK_SLICES: max(thickness or (grid.spacing_zyx_mm[0],)) > THICK_MM,
        QualityFlag.MIXED_THICKNESS: bool(thickness)
        and max(thickness) - min(thickness) > SAME_THICKNESS_MM,
        QualityFlag.UNEVEN_SPACING: not grid.is_regular,
        QualityFlag.SLICES_MISSING: has_gaps(grid, thickness),
        QualityFlag.TILT_CORRECTED: shear > UPRIGHT_DEG,
        QualityFlag.OBLIQUE: is_oblique(grid) or _disagrees(slices, shear),
    }
    return frozenset(flag for flag, is_set in found.items() if is_set)


def thicknesses_mm(slices: Sequence[CtSlice]) -> tuple[float, ...]:
    """Return the nominal thickness of each slice, nothing unless all of them say it."""
    known = tuple(image.thickness_mm for image in slices if image.thickness_mm is not None)
    return known if len(known) == len(slices) else ()


def has_gaps(grid: VoxelGrid, thickness_mm: Sequence[float]) -> bool:
    """Whether slices seem to be missing between others.

    A step is a gap if it is longer, by `GAP_FACTOR`, than the steps before and after it and than
    the thicker of its two slices. Slices that lie apart everywhere have no gap.
    """
    steps = grid.slice_steps_mm
    thickness = np.asarray(thickness_mm or np.zeros(len(steps) + 1))
    slab = np.maximum(thickness[:-1], thickness[1:])
    usual = np.array([_usual_step_mm(steps, index) for index in range(len(steps))])
    return bool(np.any(steps > GAP_FACTOR * np.maximum(slab, usual)))


def shear_deg(grid: VoxelGrid) -> float:
    """Return the angle by which a tilted gantry has sheared the stack, in degrees.

    It is read from the positions. Gantry/Detector Tilt only tells a nominal angle, "not intended
    for mathematical computations" (PS3.3, table C.8-3), and its sign differs between makers.
    """
    return grid.tilt_deg


def is_oblique(grid: VoxelGrid) -> bool:
    """Whether the stack is turned against the patient, other than by a tilted gantry.

    The way of the table is compared with the long axis, so that a tilted gantry, which shears
    the stack, does not count; and the rows with the axis from right to left.
    """
    origins = np.asarray(grid.slice_origins_lps_mm)
    table = origins[-1] - origins[0]
    return (
        _angle_deg(table, (0.0, 0.0, 1.0)) > OBLIQUE_DEG
        or _angle_deg(np.asarray(grid.row_cosine_lps), (1.0, 0.0, 0.0)) > OBLIQUE_DEG
    )


def _disagrees(slices: Sequence[CtSlice], shear: float) -> bool:
    """Whether the header tells of a tilt that the positions do not show.

    The positions are believed (see `shear_deg`), but slices may really be inclined.
    """
    nominal = abs(slices[0].header.number("GantryDetectorTilt") or 0.0)
    return nominal > OBLIQUE_DEG and abs(nominal - shear) > OBLIQUE_DEG


def _usual_step_mm(steps: NDArray[np.float64], index: int) -> float:
    """Return the larger of the median steps before and after one step, 0 for an only step."""
    before = steps[max(index - NEIGHBOUR_STEPS, 0) : index]
    after = steps[index + 1 : index + 1 + NEIGHBOUR_STEPS]
    return max((float(np.median(side)) for side in (before, after) if side.size), default=0.0)


def _angle_deg(direction: NDArray[np.float64], axis: tuple[float, float, float]) -> float:
    """Return the angle between two lines, 0 to 90 degrees."""
    cosine = abs(float(direction @ np.asarray(axis))) / float(np.linalg.norm(direction))
    return float(np.degrees(np.arccos(min(cosine, 1.0))))
