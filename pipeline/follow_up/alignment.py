"""Where a point of the baseline scan lies in the follow-up scan, whatever their grids."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.follow_up.registration import register
from pipeline.follow_up.sampling import plane_points, sample
from pipeline.resampling import canonical_grid, resample_volume
from pipeline.volume import AIR_HU, CtVolume, VoxelGrid

#: Voxel size on which heads are matched, that of registration's last step; mm.
MATCHING_SPACING_MM = (3.0, 3.0, 3.0)

#: Voxel size of the grid on which scans are looked at together: a catheter is 3 mm thick.
COMMON_SPACING_MM = (1.5, 1.5, 1.5)

#: Below every Hounsfield unit: marks what the follow-up scan does not reach.
_NOT_SCANNED = -4000.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ScanAlignment:
    """The map p -> M p + t from the baseline's to the follow-up's patient coordinates.

    Attributes
    ----------
    matrix : ndarray of float64, shape (3, 3)
        M.
    translation_mm : ndarray of float64, shape (3,)
        t.
    correlation : float
        Of the two heads after alignment, in [-1, 1].
    """

    matrix: NDArray[np.float64]
    translation_mm: NDArray[np.float64]
    correlation: float

    @property
    def determinant(self) -> float:
        """Volume of the follow-up's head as a part of the baseline's; 1 for the same head."""
        return float(np.linalg.det(self.matrix))

    def to_follow_up(self, points_lps_mm: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return points of the baseline, shape (..., 3), in the follow-up's coordinates."""
        return np.asarray(points_lps_mm @ self.matrix.T + self.translation_mm)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AlignedScans:
    """Both scans on one regular grid, that of the baseline's head.

    Attributes
    ----------
    grid : VoxelGrid
        Regular, without tilt.
    baseline_hu_zyx, follow_up_hu_zyx : ndarray of float32, shape (Z, Y, X)
        Hounsfield units on `grid`, air where a scan does not reach.
    scanned_zyx : ndarray of bool, shape (Z, Y, X)
        What the follow-up scan shows.
    """

    grid: VoxelGrid
    baseline_hu_zyx: NDArray[np.float32]
    follow_up_hu_zyx: NDArray[np.float32]
    scanned_zyx: NDArray[np.bool_]


def align_scans(baseline: CtVolume, follow_up: CtVolume) -> ScanAlignment:
    """Return where the baseline lies in the follow-up; spacing, tilt and scanner may differ.

    Raises
    ------
    ValueError
        If a scan shows no head, is not axial, or the heads cannot be matched.
    """
    scans = (baseline, follow_up)
    first, second = (canonical_grid(scan.grid, MATCHING_SPACING_MM) for scan in scans)
    found = register(
        resample_volume(baseline, first),
        resample_volume(follow_up, second),
        MATCHING_SPACING_MM,
    )
    from_first, to_second = _axes(first), _axes(second)
    matrix = to_second @ np.array(found.matrix) @ from_first.T
    origin, target = (np.array(grid.slice_origins_lps_mm[0]) for grid in (first, second))
    return ScanAlignment(
        matrix=matrix,
        translation_mm=target + to_second @ np.array(found.translation_mm) - matrix @ origin,
        correlation=found.correlation,
    )


def on_common_grid(
    baseline: CtVolume, follow_up: CtVolume, alignment: ScanAlignment
) -> AlignedScans:
    """Return both scans on one regular grid over the baseline."""
    grid = canonical_grid(baseline.grid, COMMON_SPACING_MM)
    moved = on_grid(follow_up.hu_zyx, follow_up.grid, alignment, grid, outside=_NOT_SCANNED)
    scanned = moved > _NOT_SCANNED / 2
    return AlignedScans(
        grid=grid,
        baseline_hu_zyx=resample_volume(baseline, grid),
        follow_up_hu_zyx=np.where(scanned, moved, np.float32(AIR_HU)),
        scanned_zyx=scanned,
    )


def on_grid(
    values_zyx: NDArray[np.generic],
    source: VoxelGrid,
    alignment: ScanAlignment,
    target: VoxelGrid,
    *,
    outside: float,
) -> NDArray[np.float32]:
    """Return values of the follow-up on a grid of the baseline, linear; `outside` beyond.

    Parameters
    ----------
    values_zyx : ndarray, shape (Z, Y, X)
        Values on `source`, a grid of the follow-up.
    """
    planes = [
        on_plane(values_zyx, source, alignment, target, index, outside=outside)
        for index in range(target.shape_zyx[0])
    ]
    return np.stack(planes)


def on_plane(
    values_zyx: NDArray[np.generic],
    source: VoxelGrid,
    alignment: ScanAlignment,
    target: VoxelGrid,
    index: int,
    *,
    outside: float,
) -> NDArray[np.float32]:
    """Return values of the follow-up on one slice of a grid of the baseline, shape (Y, X)."""
    points = alignment.to_follow_up(plane_points(target, index))
    return sample(values_zyx, source, points, outside=outside)


def _axes(grid: VoxelGrid) -> NDArray[np.float64]:
    """Return the unit vectors of a regular grid's x, y and z axes as columns, shape (3, 3)."""
    return np.column_stack([grid.row_cosine_lps, grid.column_cosine_lps, grid.normal_lps])
