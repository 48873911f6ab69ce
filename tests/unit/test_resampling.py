"""Resampling against geometry and against SimpleITK."""

import dataclasses
import math

import numpy as np
import pytest
import SimpleITK

from pipeline.errors import GeometryError
from pipeline.resampling import canonical_grid, resample_map, resample_volume
from pipeline.volume import AIR_HU, CtVolume, VoxelGrid, regular_grid


def tilted_grid(*, angle_deg: float, slices: int = 36, step_mm: float = 4.0) -> VoxelGrid:
    """Axial planes whose origins slide backwards as in a tilted gantry (sheared stack)."""
    slide = step_mm * math.tan(math.radians(angle_deg))
    return VoxelGrid(
        shape_zyx=(slices, 150, 140),
        pixel_spacing_yx_mm=(1.0, 1.0),
        slice_origins_lps_mm=tuple(
            (-70.0, -75.0 + (k - slices / 2) * slide, (k - (slices - 1) / 2) * step_mm)
            for k in range(slices)
        ),
    )


def lps_of(grid: VoxelGrid) -> np.ndarray:
    """Patient coordinates of every voxel, shape (Z, Y, X, 3)."""
    origins = np.asarray(grid.slice_origins_lps_mm)[:, None, None]
    _, rows, columns = grid.shape_zyx
    y = np.arange(rows)[None, :, None, None] * grid.pixel_spacing_yx_mm[0]
    x = np.arange(columns)[None, None, :, None] * grid.pixel_spacing_yx_mm[1]
    return origins + y * np.asarray(grid.column_cosine_lps) + x * np.asarray(grid.row_cosine_lps)


def ellipsoid(grid: VoxelGrid, centre: tuple, radii: tuple) -> np.ndarray:
    distance = np.sqrt((((lps_of(grid) - centre) / radii) ** 2).sum(-1))
    return np.clip(0.5 - (distance - 1) * min(radii) / 2, 0, 1)


def test_identical_grid_gives_the_same_values():
    """A grid resampled to itself keeps every value."""
    grid = regular_grid((4, 9, 7), (5.0, 0.5, 0.5))
    values = np.random.default_rng(0).normal(size=grid.shape_zyx).astype(np.float32)

    result = resample_map(values, grid, grid)

    np.testing.assert_allclose(result, values, rtol=0, atol=1e-5)


def test_canonical_grid_of_a_canonical_grid_is_itself():
    """A regular axial grid at the wanted spacing is returned with the same voxel positions."""
    grid = regular_grid((4, 9, 7), (5.0, 0.5, 0.5), origin_lps_mm=(-3.0, 4.0, 10.0))

    result = canonical_grid(grid, (5.0, 0.5, 0.5))

    assert result.shape_zyx == grid.shape_zyx
    np.testing.assert_allclose(result.slice_origins_lps_mm, grid.slice_origins_lps_mm, atol=1e-9)


def test_linear_ramp_is_reproduced():
    """A plane a*x + b*y + c*z is linear, so linear interpolation must give it exactly."""
    source = regular_grid((20, 30, 30), (1.5, 1.1, 0.9), origin_lps_mm=(-10.0, -12.0, -9.0))
    ramp = (lps_of(source) @ np.array([2.0, -3.0, 4.0])).astype(np.float32)
    target = canonical_grid(source, (5.0, 0.5, 0.5))

    result = resample_map(ramp, source, target)

    inner = (slice(2, -2), slice(4, -4), slice(4, -4))
    expected = (lps_of(target) @ np.array([2.0, -3.0, 4.0]))[inner]
    np.testing.assert_allclose(result[inner], expected, atol=1e-3)


def test_tilted_ellipsoid_keeps_centre_volume_and_shape():
    """A stack sheared by 18 degrees shows an ellipsoid; after correction it is one again."""
    source = tilted_grid(angle_deg=18.0)
    centre, radii = (6.0, -8.0, 5.0), (30.0, 22.0, 26.0)
    values = ellipsoid(source, centre, radii)

    target = canonical_grid(source, (5.0, 0.5, 0.5))
    result = resample_map(values.astype(np.float32), source, target)

    places = lps_of(target)
    total = result.sum()
    found_centre = (result[..., None] * places).sum((0, 1, 2)) / total
    spread = np.sqrt((result[..., None] * (places - found_centre) ** 2).sum((0, 1, 2)) / total)
    volume = total * 5.0 * 0.5 * 0.5
    np.testing.assert_allclose(found_centre, centre, atol=0.3)
    assert volume == pytest.approx(4 / 3 * math.pi * 30 * 22 * 26, rel=0.02)
    # The second moment of a solid ellipsoid along an axis is radius / sqrt(5).
    np.testing.assert_allclose(spread * math.sqrt(5), radii, rtol=0.03)
    np.testing.assert_allclose(result, ellipsoid(target, centre, radii), atol=0.5)


def test_round_trip_returns_to_the_tilted_grid():
    """A smooth object taken to the model's grid and back is nearly what it was."""
    source = tilted_grid(angle_deg=18.0, slices=30, step_mm=5.0)
    values = ellipsoid(source, (0.0, 0.0, 0.0), (30.0, 30.0, 40.0)).astype(np.float32)
    target = canonical_grid(source, (5.0, 0.5, 0.5))

    back = resample_map(resample_map(values, source, target), target, source)

    found, truth = back >= 0.5, values >= 0.5
    dice = 2 * np.count_nonzero(found & truth) / (found.sum() + truth.sum())
    assert dice > 0.97


def test_regular_grid_agrees_with_simpleitk():
    """On a regular grid the result is that of ITK's linear resampler, outside included."""
    source = regular_grid((8, 40, 36), (4.0, 1.0, 1.2), origin_lps_mm=(-20.0, -18.0, 3.0))
    target = regular_grid((12, 64, 70), (3.0, 0.8, 0.7), origin_lps_mm=(-23.1, -21.3, 1.7))
    values = np.random.default_rng(1).normal(size=source.shape_zyx).astype(np.float32)
    # Steps are below those of the source, so that no antialiasing takes part.

    result = resample_map(values, source, target, outside=-7.0)

    image = SimpleITK.GetImageFromArray(values)
    image.SetSpacing((1.2, 1.0, 4.0))
    image.SetOrigin((-20.0, -18.0, 3.0))
    expected = SimpleITK.GetArrayFromImage(
        SimpleITK.Resample(
            image,
            (70, 64, 12),
            SimpleITK.Transform(),
            SimpleITK.sitkLinear,
            (-23.1, -21.3, 1.7),
            (0.7, 0.8, 3.0),
            (1, 0, 0, 0, 1, 0, 0, 0, 1),
            -7.0,
        )
    )
    np.testing.assert_allclose(result, expected, atol=1e-4)


def test_uneven_slices_are_interpolated_at_their_true_positions():
    """Between slices at 0 and 8 mm, 2 mm lies a quarter of the way."""
    source = VoxelGrid(
        shape_zyx=(3, 4, 4),
        pixel_spacing_yx_mm=(1.0, 1.0),
        slice_origins_lps_mm=((0, 0, 0), (0, 0, 8), (0, 0, 9)),
    )
    values = np.zeros(source.shape_zyx, dtype=np.float32)
    values[1] = 100.0
    target = regular_grid((1, 4, 4), (1.0, 1.0, 1.0), origin_lps_mm=(0, 0, 2))

    result = resample_map(values, source, target)

    np.testing.assert_allclose(result, 25.0, atol=1e-4)


def test_thin_slices_are_averaged_into_thick_ones():
    """Independent noise of 1 mm slices falls when five of them make one of 5 mm."""
    source = regular_grid((100, 20, 20), (1.0, 0.5, 0.5))
    noise = np.random.default_rng(2).normal(size=source.shape_zyx).astype(np.float32)

    result = resample_map(noise, source, canonical_grid(source, (5.0, 0.5, 0.5)))

    # Triangle of half width 4 mm sampled at 1 mm: sum of squared weights near 1 / (1.5 * 4).
    assert result[1:-1].std() == pytest.approx(math.sqrt(1 / 6), rel=0.1)


@pytest.mark.parametrize(
    ("row", "column"),
    [
        ((-1, 0, 0), (0, 1, 0)),
        ((1, 0, 0), (0, -1, 0)),
        ((0, 1, 0), (1, 0, 0)),
        ((0, 1, 0), (-1, 0, 0)),
    ],
)
def test_flipped_and_swapped_planes_become_canonical(row, column):
    """Whichever way rows and columns run, x ends to the left and y to posterior."""
    plain = regular_grid((3, 24, 24), (5.0, 1.0, 1.0), origin_lps_mm=(-11.5, -11.5, 0))
    origin = -11.5 * (np.asarray(row) + np.asarray(column))
    source = VoxelGrid(
        shape_zyx=(3, 24, 24),
        pixel_spacing_yx_mm=(1.0, 1.0),
        row_cosine_lps=row,
        column_cosine_lps=column,
        slice_origins_lps_mm=tuple((*origin[:2], 5.0 * k) for k in range(3)),
    )
    centre, radii = (5.0, -3.0, 5.0), (4.0, 6.0, 9.0)

    target = canonical_grid(source, (5.0, 1.0, 1.0))
    result = resample_map(ellipsoid(source, centre, radii).astype(np.float32), source, target)

    assert target.row_cosine_lps == (1.0, 0.0, 0.0)
    assert target.column_cosine_lps == (0.0, 1.0, 0.0)
    np.testing.assert_allclose(result, ellipsoid(plain, centre, radii), atol=1e-5)


def test_volume_is_air_outside():
    """Where the scan does not reach, there is air."""
    grid = regular_grid((3, 8, 8), (5.0, 1.0, 1.0))
    volume = CtVolume(hu_zyx=np.full(grid.shape_zyx, 40, dtype=np.int16), grid=grid)
    target = regular_grid((3, 8, 8), (5.0, 1.0, 1.0), origin_lps_mm=(4.0, 0.0, 0.0))

    result = resample_volume(volume, target)

    np.testing.assert_array_equal(result[:, :, :4], 40)
    np.testing.assert_array_equal(result[:, :, 4:], AIR_HU)


def test_single_slice_can_be_resampled():
    """One slice stands for itself."""
    source = regular_grid((1, 6, 6), (5.0, 1.0, 1.0))
    values = np.full(source.shape_zyx, 3.0, dtype=np.float32)

    result = resample_map(values, source, canonical_grid(source, (1.0, 0.5, 0.5)))

    np.testing.assert_allclose(result, 3.0)


def test_planes_that_are_not_parallel_are_refused():
    """Oblique planes cannot be resampled slice by slice to straight ones."""
    straight = regular_grid((2, 4, 4), (5.0, 1.0, 1.0))
    c, s = math.cos(0.2), math.sin(0.2)
    oblique = dataclasses.replace(straight, column_cosine_lps=(0.0, c, s))

    with pytest.raises(GeometryError, match="parallel"):
        resample_map(np.zeros((2, 4, 4)), oblique, straight)


def test_values_of_another_shape_are_refused():
    """The array must fit the grid it is said to lie on."""
    grid = regular_grid((2, 4, 4), (5.0, 1.0, 1.0))

    with pytest.raises(GeometryError, match="shape"):
        resample_map(np.zeros((3, 4, 4)), grid, grid)
