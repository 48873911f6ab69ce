"""Both scans side by side: the baseline where its hematoma is largest, the follow-up there.

The slices lie as radiologists look at them, front above and the patient's left on the right, on
one pixel grid, so that what looks larger is larger.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pipeline.finding import Segmentation
from pipeline.follow_up.alignment import ScanAlignment
from pipeline.follow_up.comparison import FollowUpComparison, ScanFinding
from pipeline.follow_up.sampling import plane_points, sample
from pipeline.growth.brain import extract_head
from pipeline.measurement import slice_areas_mm2
from pipeline.resampling import canonical_grid
from pipeline.volume import AIR_HU, CtVolume, VoxelGrid

#: Pixels of a panel along each side.
PANEL_PX: Final = 512

#: Air round the head that stays in the picture, as a part of the head's size.
_AIR: Final = 0.05
#: A pixel belongs to a mask if at least half of it does.
_HALF: Final = 0.5


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PairView:
    """What is drawn: one slice of each scan on grids of `PANEL_PX` pixels of the same size.

    Attributes
    ----------
    baseline_hu_yx, follow_up_hu_yx : ndarray of float32, shape (PANEL_PX, PANEL_PX)
        Hounsfield units.
    baseline_yx, follow_up_yx : ndarray of bool, same shape
        Hematoma of each scan on its own panel.
    carried_yx : ndarray of bool, same shape, or None
        Hematoma of the baseline on the follow-up's panel; None where the heads do not match.
    pixel_mm : float
        Side of a pixel of both panels.
    baseline_slice, follow_up_slice : int or None
        Which slice is shown, counted from 0; None for one laid through the follow-up's slices.
    """

    baseline_hu_yx: NDArray[np.float32]
    follow_up_hu_yx: NDArray[np.float32]
    baseline_yx: NDArray[np.bool_]
    follow_up_yx: NDArray[np.bool_]
    carried_yx: NDArray[np.bool_] | None
    pixel_mm: float
    baseline_slice: int
    follow_up_slice: int | None


def view_pair(
    baseline: ScanFinding, follow_up: ScanFinding, comparison: FollowUpComparison
) -> PairView:
    """Return the slices that show the change.

    The follow-up is shown on the baseline's plane where registration holds, on its own slice of
    largest area elsewhere.
    """
    alignment = comparison.alignment if comparison.is_registered else None
    index = _key_slice(baseline, follow_up, alignment)
    plane = _display_plane(baseline.volume, index)
    points = plane_points(plane, 0)
    before = _shown(baseline.segmentation, points)
    if alignment is not None:
        other, own, carried = alignment.to_follow_up(points), None, before
    else:
        own, carried = largest_slice(follow_up), None
        other = plane_points(_display_plane(follow_up.volume, own, like=plane), 0)
    return PairView(
        baseline_hu_yx=_hu(baseline.volume, points),
        follow_up_hu_yx=_hu(follow_up.volume, other),
        baseline_yx=before,
        follow_up_yx=_shown(follow_up.segmentation, other),
        carried_yx=carried,
        pixel_mm=plane.pixel_spacing_yx_mm[0],
        baseline_slice=index,
        follow_up_slice=own,
    )


def _key_slice(
    baseline: ScanFinding, follow_up: ScanFinding, alignment: ScanAlignment | None
) -> int:
    """Return the baseline's slice of largest area, or, without a hematoma, the follow-up's."""
    if not baseline.segmentation.hematoma.is_empty or alignment is None:
        return largest_slice(baseline)
    grid = follow_up.volume.grid
    if follow_up.segmentation.hematoma.is_empty:
        return grid_middle(baseline.volume.grid)
    z, y, x = np.argwhere(follow_up.segmentation.hematoma.voxels_zyx).mean(axis=0)
    place = grid.to_lps_mm((round(float(z)), float(y), float(x)))
    back = np.linalg.solve(alignment.matrix, place - alignment.translation_mm)
    positions = baseline.volume.grid.slice_positions_mm
    return int(np.argmin(np.abs(positions - back @ baseline.volume.grid.normal_lps)))


def largest_slice(finding: ScanFinding) -> int:
    """Return the slice where the hematoma has its largest area; without one, the middle slice."""
    mask = finding.segmentation.hematoma
    return grid_middle(mask.grid) if mask.is_empty else int(np.argmax(slice_areas_mm2(mask)))


def grid_middle(grid: VoxelGrid) -> int:
    """Return the middle slice."""
    return grid.shape_zyx[0] // 2


def _display_plane(volume: CtVolume, index: int, *, like: VoxelGrid | None = None) -> VoxelGrid:
    """Return a square of `PANEL_PX` pixels round the head, without its rest, on one slice's plane.

    Parameters
    ----------
    like : VoxelGrid, optional
        Takes the pixel size of this plane.
    """
    grid = volume.grid
    axes = canonical_grid(grid, (1.0, 1.0, 1.0))
    right, down = (np.array(each) for each in (axes.row_cosine_lps, axes.column_cosine_lps))
    origin = np.array(grid.slice_origins_lps_mm[index])
    points = plane_points(grid, index)
    head = points[extract_head(volume.hu_zyx[index : index + 1], grid.spacing_zyx_mm)[0]]
    places = (head if head.size else points.reshape(-1, 3)) - origin
    spans = [places @ axis for axis in (down, right)]
    side_mm = max(float(np.ptp(span)) for span in spans) * (1 + 2 * _AIR)
    step = side_mm / PANEL_PX if like is None else like.pixel_spacing_yx_mm[0]
    middle = [(float(span.min()) + float(span.max())) / 2 for span in spans]
    corner = origin + sum(
        (centre - (PANEL_PX - 1) / 2 * step) * axis
        for centre, axis in zip(middle, (down, right), strict=True)
    )
    return VoxelGrid(
        shape_zyx=(1, PANEL_PX, PANEL_PX),
        pixel_spacing_yx_mm=(step, step),
        row_cosine_lps=axes.row_cosine_lps,
        column_cosine_lps=axes.column_cosine_lps,
        slice_origins_lps_mm=((float(corner[0]), float(corner[1]), float(corner[2])),),
    )


def _hu(volume: CtVolume, points: NDArray[np.float64]) -> NDArray[np.float32]:
    return sample(volume.hu_zyx, volume.grid, points, outside=AIR_HU)


def _shown(found: Segmentation, points: NDArray[np.float64]) -> NDArray[np.bool_]:
    mask = found.hematoma
    return np.asarray(sample(mask.voxels_zyx, mask.grid, points, outside=0.0) >= _HALF)
