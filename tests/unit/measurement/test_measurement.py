"""Volumes, diameters and densities against geometry and hand calculation."""

import numpy as np
import pytest
from mask_builder import BLOOD_HU, at_positions, ball, bleeding_brain, mask_on
from scipy.spatial.distance import pdist

from pipeline.errors import EmptyHematomaError, GeometryError
from pipeline.measurement import (
    abc2_volume_ml,
    longest_axial_diameter,
    max_3d_diameter_mm,
    measure,
    mesh_volume_ml,
    volume_ml,
)
from pipeline.volume import CtVolume

BALL_20_MM_ML = 4 / 3 * np.pi * 20**3 / 1000


@pytest.mark.parametrize("spacing_zyx_mm", [(0.5, 0.5, 0.5), (2.0, 0.5, 0.5), (5.0, 0.5, 0.4)])
def test_volume_is_that_of_the_ball_whatever_the_spacing(spacing_zyx_mm):
    """Thick slices change the voxels, not the millilitres."""
    mask = ball(radius_mm=20, spacing_zyx_mm=spacing_zyx_mm)

    # nine slices of 5 mm sample the ball to about 1.5 %
    assert volume_ml(mask) == pytest.approx(BALL_20_MM_ML, rel=0.02)


@pytest.mark.parametrize("spacing_zyx_mm", [(0.5, 0.5, 0.5), (1.0, 0.5, 0.8), (2.0, 0.5, 0.5)])
def test_mesh_volume_is_that_of_the_ball(spacing_zyx_mm):
    """The surface of a finely sampled ball encloses the ball."""
    mask = ball(radius_mm=20, spacing_zyx_mm=spacing_zyx_mm)

    assert mesh_volume_ml(mask) == pytest.approx(BALL_20_MM_ML, rel=0.015)


def test_gantry_tilt_leaves_every_volume_as_it_is():
    """A shear moves slices within their planes: by Cavalieri the volume stays."""
    upright = ball(radius_mm=20, spacing_zyx_mm=(5.0, 0.5, 0.5))
    positions = list(upright.grid.slice_positions_mm)
    tilted = at_positions(upright, positions, tilt_deg=18.5)

    assert tilted.grid.tilt_deg == pytest.approx(18.5)
    assert volume_ml(tilted) == pytest.approx(volume_ml(upright))
    assert mesh_volume_ml(tilted) == pytest.approx(mesh_volume_ml(upright))
    assert abc2_volume_ml(tilted) == pytest.approx(abc2_volume_ml(upright))


def test_uneven_slices_count_with_the_slab_they_stand_for():
    """Positions 0, 2, 6, 14 mm give slabs of 2, 3, 6, 8 mm; 100 mm^2 each in the inner two."""
    voxels = np.zeros((4, 30, 30), dtype=bool)
    voxels[1:3, 5:25, 5:25] = True  # 20 x 20 pixels of 0.5 mm = 100 mm^2
    mask = at_positions(mask_on(voxels), [0.0, 2.0, 6.0, 14.0])

    assert volume_ml(mask) == pytest.approx(100 * (3 + 6) / 1000)


def test_abc2_weighs_slices_by_kotharis_rules():
    """Half axes 20 and 10 mm; slices of 100, 60 and 20 % count 1, 0.5 and 0 times 5 mm."""
    y, x = np.mgrid[-50:51, -50:51] * 0.5
    voxels = np.zeros((5, 101, 101), dtype=bool)
    for index, share in ((1, 0.6), (2, 1.0), (3, 0.2)):
        voxels[index] = (x / 20) ** 2 + (y / 10) ** 2 <= share
    mask = mask_on(voxels)

    # A = 40 mm, B = 20 mm, C = 5 + 2.5 + 0 mm; one pixel of 0.5 mm is the drawing accuracy
    assert abc2_volume_ml(mask) == pytest.approx(40 * 20 * 7.5 / 2 / 1000, rel=0.04)


def test_abc2_does_not_depend_on_how_the_ellipse_lies():
    """The same ellipse turned by 30 degrees keeps A and B."""
    y, x = np.mgrid[-50:51, -50:51] * 0.5
    u = x * np.cos(np.pi / 6) + y * np.sin(np.pi / 6)
    v = y * np.cos(np.pi / 6) - x * np.sin(np.pi / 6)
    voxels = np.zeros((3, 101, 101), dtype=bool)
    voxels[1] = (u / 20) ** 2 + (v / 10) ** 2 <= 1

    assert abc2_volume_ml(mask_on(voxels)) == pytest.approx(40 * 20 * 5 / 2 / 1000, rel=0.05)


def test_longest_diameters_agree_with_comparing_all_pairs():
    """SciPy's distances of all pairs of pixels have the same maximum."""
    rng = np.random.default_rng(7)
    voxels = rng.random((6, 20, 24)) < 0.05
    mask = at_positions(mask_on(voxels, (5.0, 0.7, 0.4)), [0, 5, 9, 16, 20, 26], tilt_deg=15)
    grid = mask.grid
    slice_mm = np.argwhere(voxels[2]) * np.array([0.7, 0.4])
    patient_mm = np.array([grid.to_lps_mm(tuple(index)) for index in np.argwhere(voxels)])

    axial = longest_axial_diameter(mask, slice_index=2)

    assert axial.length_mm == pytest.approx(pdist(slice_mm).max())
    ends_mm = (np.array(axial.end_yx) - np.array(axial.start_yx)) * [0.7, 0.4]
    assert np.linalg.norm(ends_mm) == pytest.approx(axial.length_mm)
    assert max_3d_diameter_mm(mask) == pytest.approx(pdist(patient_mm).max())


def test_tilt_lengthens_the_line_through_the_patient():
    """Slices 10 mm apart, sheared by 45 degrees: the voxel above lies 14.1 mm away."""
    voxels = np.zeros((2, 3, 3), dtype=bool)
    voxels[:, 1, 1] = True
    mask = at_positions(mask_on(voxels), [0.0, 10.0], tilt_deg=45)

    assert max_3d_diameter_mm(mask) == pytest.approx(10 * np.sqrt(2))


def test_one_voxel_can_be_measured():
    """One voxel of 5 x 0.5 x 0.5 mm: 1.25 mm^3, no length, a surface of 1/6 of it."""
    voxels = np.zeros((5, 9, 9), dtype=bool)
    voxels[2, 4, 4] = True
    mask = mask_on(voxels)

    found = measure(bleeding_brain(mask), mask)

    assert found.volume_ml == pytest.approx(0.00125)
    assert found.mesh_volume_ml == pytest.approx(0.00125 / 6)  # octahedron on half axes
    assert found.abc2_volume_ml == pytest.approx(0.00125 / 2)  # A B C / 2 with one pixel each
    assert found.long_axis.length_mm == 0
    assert found.max_3d_diameter_mm == 0
    assert (found.max_area_slice, found.slice_count, found.component_count) == (2, 1, 1)


def test_a_lone_slice_can_be_measured():
    """One slice without neighbours stands for 1 mm: 10 x 10 pixels of 1 mm are 0.1 mL."""
    voxels = np.zeros((1, 20, 20), dtype=bool)
    voxels[0, 5:15, 5:15] = True
    mask = mask_on(voxels, (5.0, 1.0, 1.0))

    found = measure(bleeding_brain(mask), mask)

    assert found.volume_ml == pytest.approx(0.1)
    assert 0 < found.mesh_volume_ml < 0.1
    assert found.long_axis.length_mm == pytest.approx(9 * np.sqrt(2))


def test_a_hematoma_in_the_corner_of_the_volume_can_be_measured():
    """The surface is closed although the mask ends with the image."""
    voxels = np.ones((3, 10, 10), dtype=bool)
    mask = mask_on(voxels, (1.0, 1.0, 1.0))

    assert volume_ml(mask) == pytest.approx(0.3)
    assert 0.2 < mesh_volume_ml(mask) < 0.3


def test_slice_statistics_are_those_of_the_slices():
    """Two of three blood slices touch by a corner: 3 slices, 2 parts, the middle is largest."""
    voxels = np.zeros((7, 12, 12), dtype=bool)
    voxels[1, 0:2, 0:2] = True
    voxels[2, 2:8, 2:8] = True  # meets slice 1 at a corner: one part (26 neighbours)
    voxels[5, 4:6, 4:6] = True
    mask = mask_on(voxels, (5.0, 1.0, 1.0))

    found = measure(bleeding_brain(mask), mask)

    assert (found.slice_count, found.component_count) == (3, 2)
    assert (found.max_area_slice, found.max_area_mm2) == (2, 36.0)


def test_density_is_that_inside_the_mask():
    """Mean and standard deviation of 50 and 70 HU in equal parts are 60 and 10."""
    voxels = np.zeros((3, 8, 8), dtype=bool)
    voxels[1, 2:6, 2:6] = True
    hu = np.full((3, 8, 8), -1000, dtype=np.int16)
    hu[1, 2:4, 2:6], hu[1, 4:6, 2:6] = 50, 70
    mask = mask_on(voxels)

    found = measure(CtVolume(hu_zyx=hu, grid=mask.grid), mask)

    assert (found.mean_hu, found.sd_hu) == (60, 10)


def test_measuring_the_whole_is_measuring_its_parts():
    """`measure` reports what the single functions return."""
    mask = ball(radius_mm=15, spacing_zyx_mm=(5.0, 0.5, 0.5))

    found = measure(bleeding_brain(mask), mask)

    assert found.volume_ml == volume_ml(mask)
    assert found.mesh_volume_ml == mesh_volume_ml(mask)
    assert found.abc2_volume_ml == abc2_volume_ml(mask)
    assert found.max_3d_diameter_mm == max_3d_diameter_mm(mask)
    assert found.long_axis == longest_axial_diameter(mask, slice_index=found.max_area_slice)
    assert found.mean_hu == BLOOD_HU


def test_an_empty_mask_has_no_measurements():
    """What is not there is refused, not measured as zero."""
    mask = mask_on(np.zeros((3, 4, 4), dtype=bool))

    for ask in (
        lambda: measure(bleeding_brain(mask), mask),
        lambda: mesh_volume_ml(mask),
        lambda: max_3d_diameter_mm(mask),
        lambda: longest_axial_diameter(mask, slice_index=1),
    ):
        with pytest.raises(EmptyHematomaError):
            ask()


def test_a_mask_of_another_grid_is_refused():
    """A mask that was not made on the volume would be measured at the wrong place."""
    mask = ball(radius_mm=5, spacing_zyx_mm=(1.0, 1.0, 1.0))
    other = at_positions(mask, [2.0 * index for index in range(mask.grid.shape_zyx[0])])

    with pytest.raises(GeometryError):
        measure(bleeding_brain(mask), other)
