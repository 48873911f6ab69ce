"""Scans on different grids are brought together."""

import numpy as np
import pytest
from ct_builder import Ball, build_ct_series
from follow_up_builder import ROTATION, SHIFT_MM, head_grid, known_alignment, scanned

from pipeline.ct_series import read_ct_series
from pipeline.follow_up.alignment import ScanAlignment, align_scans, on_grid
from pipeline.follow_up.comparison import alignment_holds
from pipeline.follow_up.sampling import plane_points, sample
from pipeline.volume import regular_grid

#: In the corners of a cube of 100 mm, on heads as smooth as eggs. Real anatomy that was turned and
#: shifted alike comes to lie within 1.2 mm (0.5 mm on average).
MOST_MM = 4.0


def farthest_mm(alignment, *, rotation=ROTATION, shift_mm=SHIFT_MM):
    """Return by how much the worst of some points in the brain is misplaced."""
    points = np.random.default_rng(1).uniform(-50, 50, (40, 3))
    truth = points @ rotation.T + shift_mm
    return np.linalg.norm(alignment.to_follow_up(points) - truth, axis=1).max()


def test_a_moved_head_on_another_grid_is_found():
    """Thick slices first, thinner ones later, turned by 8 degrees and shifted by 12 mm."""
    baseline = scanned(head_grid((5.0, 3.0, 3.0)), balls=[Ball(radius_mm=15.0)])
    follow_up = scanned(head_grid((3.0, 2.5, 2.5)), balls=[Ball(radius_mm=18.0)], is_moved=True)

    alignment = align_scans(baseline.volume, follow_up.volume)

    assert farthest_mm(alignment) < MOST_MM
    assert alignment.determinant == pytest.approx(1.0, abs=0.03)
    assert alignment_holds(alignment)


def test_a_tilted_gantry_is_undone():
    """The slices of one scan are tilted by 18 degrees; the head has not moved."""
    series = build_ct_series(tilt_deg=18.0, shape_yx=(80, 80), slices=36)
    tilted = scanned(read_ct_series(series).grid, balls=[Ball()])

    alignment = align_scans(scanned(balls=[Ball()]).volume, tilted.volume)

    assert tilted.volume.grid.tilt_deg == pytest.approx(18.0, abs=0.1)
    assert farthest_mm(alignment, rotation=np.eye(3), shift_mm=np.zeros(3)) < MOST_MM
    assert alignment_holds(alignment)


def test_a_scan_that_reaches_less_far_down_is_matched():
    """The upper two thirds of a head lie where they lie in the whole of it."""
    whole = scanned(head_grid((5.0, 3.0, 3.0)), balls=[Ball()])
    part = scanned(
        regular_grid((22, 72, 72), (5.0, 3.0, 3.0), origin_lps_mm=(-106.5, -106.5, -20.0)),
        balls=[Ball()],
    )

    alignment = align_scans(whole.volume, part.volume)

    assert farthest_mm(alignment, rotation=np.eye(3), shift_mm=np.zeros(3)) < MOST_MM


@pytest.mark.parametrize(
    ("correlation", "matrix", "holds"),
    [
        (0.96, np.eye(3), True),
        (0.89, np.eye(3), False),
        (0.96, np.diag([1.0, 1.0, 0.93]), False),
        (0.96, ROTATION, True),
    ],
)
def test_an_alignment_holds_for_one_head_alone(correlation, matrix, holds):
    """Heads of two people correlate by up to 0.89, and fit only if one is stretched."""
    alignment = ScanAlignment(
        matrix=matrix, translation_mm=np.array([5.0, 0.0, 90.0]), correlation=correlation
    )

    assert alignment_holds(alignment) is holds


def test_samples_of_a_sheared_uneven_stack_are_those_of_the_patient():
    """A density that rises linearly along x, y and z is read back anywhere, tilted slices or not.

    2 x + 3 y - z is linear, so that linear interpolation between centres is exact.
    """
    series = build_ct_series(
        positions_mm=[40, 30, 22, 12, 0, -9, -20, -30], tilt_deg=15.0, shape_yx=(64, 64)
    )
    grid = read_ct_series(series).grid
    points = np.stack([plane_points(grid, index) for index in range(grid.shape_zyx[0])])
    weights = np.array([2.0, 3.0, -1.0])
    wanted = np.random.default_rng(3).uniform(-5, 20, (50, 3))

    found = sample(points @ weights, grid, wanted, outside=-9999.0)

    assert found == pytest.approx(wanted @ weights, abs=1e-3)
    assert sample(points @ weights, grid, np.array([[0.0, 0.0, 500.0]]), outside=-7.0) == [-7.0]


def test_the_follow_ups_blood_lies_on_the_baselines_grid():
    """A ball that moved with the head comes back to where it was: 4/3 pi 18^3 = 24.4 mL there."""
    before = scanned(head_grid((5.0, 3.0, 3.0)))
    after = scanned(head_grid((2.5, 2.0, 2.0)), balls=[Ball(radius_mm=18.0)], is_moved=True)

    covered = on_grid(
        after.segmentation.hematoma.voxels_zyx,
        after.volume.grid,
        known_alignment(is_moved=True),
        before.volume.grid,
        outside=0.0,
    )

    found = np.argwhere(covered >= 0.5).mean(axis=0)
    middle = [(side - 1) / 2 for side in covered.shape]
    place_mm = (found - middle) * before.volume.grid.spacing_zyx_mm
    assert covered.sum() * 45 / 1000 == pytest.approx(24.4, rel=0.03)
    assert place_mm == pytest.approx([10.0, 5.0, 25.0], abs=1.0)  # z, y, x of the ball's centre
