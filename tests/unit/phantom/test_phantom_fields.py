"""Claims about smooth fields and simple solids."""

import numpy as np
import pytest

from training.phantom.fields import (
    double,
    ellipsoid,
    inside,
    smooth_noise,
    tube,
    upsample,
    upsampling_matrix,
)


def _axes(*points: tuple[float, float, float]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    x, y, z = np.asarray(points, dtype=np.float32).T
    return x, y, z


def test_a_surface_through_a_voxel_centre_fills_half_of_it() -> None:
    """Share of a voxel inside a surface: 1 half a width below it, 1/2 on it, 0 above."""
    distances = np.array([-2.0, -0.5, 0.0, 0.25, 0.5, 3.0], dtype=np.float32)

    shares = inside(distances)

    assert shares == pytest.approx([1, 1, 0.5, 0.25, 0, 0])


def test_distance_to_a_ball_is_that_of_geometry() -> None:
    """A ball of radius 5 about (1, 2, 3): its centre is 5 mm deep, a point 8 mm off is 3 out."""
    x, y, z = _axes((1, 2, 3), (9, 2, 3), (1, 2, -2))

    distance = ellipsoid(x, y, z, center=(1, 2, 3), radii_mm=(5, 5, 5))

    assert distance == pytest.approx([-5, 3, 0], abs=1e-5)


def test_distance_to_a_tube_ends_in_half_balls_and_grows_with_its_radius() -> None:
    """From x=0 to x=10 with radius 1 to 3: beside the middle (radius 2), before the start."""
    x, y, z = _axes((5, 4, 0), (-3, 0, 0), (10, 0, 3))

    distance = tube(x, y, z, path=((0, 0, 0), (10, 0, 0)), radii_mm=[1, 3])

    assert distance == pytest.approx([2, 2, 0], abs=1e-5)


def test_a_tube_without_length_is_refused() -> None:
    """One corner makes no tube."""
    x, y, z = _axes((0, 0, 0))

    with pytest.raises(ValueError, match="at least two corners"):
        tube(x, y, z, path=((0, 0, 0),), radii_mm=[1])


@pytest.mark.parametrize(("coarse", "fine"), [(4, 9), (7, 7), (12, 100)])
def test_stretching_keeps_a_constant(coarse: int, fine: int) -> None:
    """The weights of each interpolated point sum to one."""
    matrix = upsampling_matrix(coarse, fine)

    assert matrix.shape == (fine, coarse)
    assert matrix.sum(axis=1) == pytest.approx(np.ones(fine), abs=1e-5)


def test_smooth_noise_has_the_promised_mean_spread_and_smoothness() -> None:
    """Zero mean, unit spread, and neighbours alike when the wavelength is 12 voxels."""
    field = smooth_noise(np.random.default_rng(3), (60, 70, 80), 12.0)

    assert field.shape == (60, 70, 80)
    assert abs(float(field.mean())) < 0.15
    assert float(field.std()) == pytest.approx(1.0, abs=0.15)
    neighbours = np.corrcoef(field[:, :, 1:].ravel(), field[:, :, :-1].ravel())[0, 1]
    assert neighbours > 0.9


def test_smooth_noise_is_the_same_for_the_same_seed() -> None:
    """Two generators of one seed give one field; another seed another."""
    first, again, other = (
        smooth_noise(np.random.default_rng(seed), (10, 12, 14), 6.0) for seed in (1, 1, 2)
    )

    assert np.array_equal(first, again)
    assert not np.allclose(first, other)


def test_doubling_puts_the_mean_between_neighbours() -> None:
    """0, 2, 6 at every second point gives 0, 1, 2, 4, 6 between."""
    coarse = np.broadcast_to(np.array([0, 2, 6], dtype=np.float32), (3, 3, 3))

    fine = double(np.ascontiguousarray(coarse), (5, 5, 5))

    assert fine[2, 3] == pytest.approx([0, 1, 2, 4, 6])


def test_upsampling_reaches_the_asked_shape() -> None:
    """Any finer shape can be asked for."""
    values = np.ones((4, 5, 6), dtype=np.float32)

    assert upsample(values, (9, 11, 30)).shape == (9, 11, 30)
