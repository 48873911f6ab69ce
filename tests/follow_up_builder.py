"""Two scans of one simulated head, as arrays: moved, bled on, operated upon."""

from collections.abc import Callable, Sequence

import numpy as np
from ct_builder import BRAIN_AXES, Ball, head_hu

from pipeline.finding import Segmentation, VolumeRange
from pipeline.follow_up.alignment import ScanAlignment
from pipeline.follow_up.comparison import ScanFinding
from pipeline.follow_up.sampling import plane_points
from pipeline.volume import CtVolume, HematomaMask, VoxelGrid, regular_grid

#: A moved head: 7 degrees about z, 4 about x, then a shift; p -> R p + t.
_Z, _X = np.radians(7.0), np.radians(4.0)
ROTATION = np.array(
    [[np.cos(_Z), -np.sin(_Z), 0], [np.sin(_Z), np.cos(_Z), 0], [0, 0, 1]]
) @ np.array([[1, 0, 0], [0, np.cos(_X), -np.sin(_X)], [0, np.sin(_X), np.cos(_X)]])
SHIFT_MM = np.array([6.0, -9.0, 5.0])

Change = Callable[[np.ndarray, np.ndarray], np.ndarray]


def head_grid(
    spacing_zyx_mm: tuple[float, float, float] = (5.0, 3.0, 3.0),
    *,
    field_mm: tuple[float, float, float] = (180.0, 216.0, 216.0),
) -> VoxelGrid:
    """Return an axial grid around the origin, where the head of `ct_builder` lies."""
    shape = [int(side / step) for side, step in zip(field_mm, spacing_zyx_mm, strict=True)]
    origin = [-(count - 1) / 2 * step for count, step in zip(shape, spacing_zyx_mm, strict=True)][
        ::-1
    ]
    return regular_grid(
        (shape[0], shape[1], shape[2]),
        spacing_zyx_mm,
        origin_lps_mm=(origin[0], origin[1], origin[2]),
    )


def scanned(
    grid: VoxelGrid | None = None,
    *,
    balls: Sequence[Ball] = (),
    is_moved: bool = False,
    change: Change | None = None,
    thickness_mm: float | None = None,
    volume_range: VolumeRange | None = None,
) -> ScanFinding:
    """Return a scan of the head with its blood as the segmentation.

    Parameters
    ----------
    grid : VoxelGrid
        Where; `head_grid()` if left out.
    balls : sequence of Ball
        Blood, in the head's own coordinates.
    is_moved : bool
        Whether the head lies as `ROTATION` and `SHIFT_MM` put it.
    change : callable
        Given the head's own coordinates, shape (..., 3), and HU; returns other HU.
    """
    grid = grid or head_grid()
    points = np.stack([plane_points(grid, index) for index in range(grid.shape_zyx[0])])
    own = (points - SHIFT_MM) @ ROTATION if is_moved else points
    hu = head_hu(own, balls)
    # Lumps of bone show which way the head is turned, as a face does.
    for place in ((20.0, -90.0, 10.0), (72.0, 40.0, -30.0), (-30.0, 60.0, 65.0)):
        near = np.linalg.norm(own - place, axis=-1) < 20
        hu[near & (np.linalg.norm(own / BRAIN_AXES, axis=-1) > 1.02)] = 900
    blood = np.zeros(grid.shape_zyx, dtype=bool)
    for ball in balls:
        blood |= np.linalg.norm(own - ball.center_lps_mm, axis=-1) <= ball.radius_mm
    if change is not None:
        hu = change(own, hu)
    volume = CtVolume(
        hu_zyx=np.round(hu).astype(np.int16),
        grid=grid,
        slice_thickness_mm=() if thickness_mm is None else (thickness_mm,) * len(hu),
    )
    mask = HematomaMask(voxels_zyx=blood, grid=grid)
    return ScanFinding(
        volume=volume, segmentation=Segmentation(hematoma=mask, volume_range=volume_range)
    )


def known_alignment(*, is_moved: bool = False, correlation: float = 0.99) -> ScanAlignment:
    """Return the alignment that was built in, as if registration had found it."""
    return ScanAlignment(
        matrix=ROTATION if is_moved else np.eye(3),
        translation_mm=SHIFT_MM if is_moved else np.zeros(3),
        correlation=correlation,
    )
