"""Mesh volume and longest lines against independent implementations."""

import numpy as np
import pytest
from scipy.spatial import ConvexHull
from scipy.spatial.distance import pdist

from pipeline.diameters import longest_line, row_ends, widest_chord
from pipeline.errors import EmptyHematomaError
from pipeline.surface import enclosed_volume_ml, hematoma_surface


def test_volume_of_a_box_is_that_of_the_convex_hull_of_its_surface():
    """The surface of a box of voxels is convex, so qhull measures the same volume."""
    surface = hematoma_surface(
        np.ones((4, 9, 7), dtype=bool),
        slice_positions_mm=np.array([0.0, 5.0, 8.0, 15.0]),
        pixel_spacing_yx_mm=(0.5, 0.8),
    )

    expected_ml = ConvexHull(surface.vertices_mm).volume / 1000
    assert enclosed_volume_ml(surface) == pytest.approx(expected_ml, rel=1e-6)


def test_volume_of_a_hollow_body_leaves_out_the_hollow():
    """Signed tetrahedra subtract an inner surface from the outer one."""
    solid = np.ones((9, 9, 9), dtype=bool)
    hollow = solid.copy()
    hollow[4, 4, 4] = False
    positions = np.arange(9.0)

    volumes = [
        enclosed_volume_ml(
            hematoma_surface(voxels, slice_positions_mm=positions, pixel_spacing_yx_mm=(1, 1))
        )
        for voxels in (solid, hollow)
    ]

    # the hole of one voxel is an octahedron of 1/6 mm^3
    assert volumes[0] - volumes[1] == pytest.approx(1 / 6 / 1000)


def test_an_empty_mask_has_no_surface():
    """Marching cubes is not asked for a surface that is not there."""
    with pytest.raises(EmptyHematomaError):
        hematoma_surface(
            np.zeros((3, 3, 3), dtype=bool),
            slice_positions_mm=np.arange(3.0),
            pixel_spacing_yx_mm=(1, 1),
        )


@pytest.mark.parametrize("count", [1, 2, 50, 2500])
def test_longest_line_agrees_with_all_pairs(count):
    """Few points are compared outright, many through their convex hull."""
    points = np.random.default_rng(count).normal(size=(count, 3))

    found = longest_line(points)

    expected = pdist(points).max() if count > 1 else 0
    assert found.length == pytest.approx(expected)
    assert np.linalg.norm(points[found.start] - points[found.end]) == pytest.approx(expected)


def test_many_points_in_one_plane_have_a_longest_line():
    """Where there is no hull in three dimensions all pairs are compared."""
    points = np.random.default_rng(3).normal(size=(2300, 3))
    points[:, 0] = 0

    assert longest_line(points).length == pytest.approx(pdist(points).max())


def test_row_ends_hold_the_hull():
    """The hull of the ends is the hull of all."""
    voxels = np.random.default_rng(1).random((5, 12, 12)) < 0.3

    ends, everything = row_ends(voxels), np.argwhere(voxels)

    assert len(ends) < len(everything)
    assert ConvexHull(ends).volume == pytest.approx(ConvexHull(everything).volume)


def test_widest_chord_is_measured_at_one_place():
    """An L has arms of 1 pixel: across its long side no place is wider than the short arm."""
    figure = np.zeros((11, 11), dtype=bool)
    figure[:, 0] = True  # long arm along y
    figure[10, :6] = True  # short arm, 6 pixels along x
    figure[0, 3] = True  # an outlier at the other end

    chord = widest_chord(np.argwhere(figure) * 1.0, np.array([1.0, 0.0]), bin_width=1.0)

    assert chord == 5  # from x = 0 to x = 5 in the last row
