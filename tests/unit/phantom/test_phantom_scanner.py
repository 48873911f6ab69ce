"""Claims about the simulated scanner."""

from dataclasses import replace

import numpy as np
import pytest
from small_phantom import small_protocol

from training.phantom.scanner import (
    MATRIX,
    develop,
    draw_protocol,
    head_lattice,
    rotation_matrix,
    slice_grid,
    to_slices,
)


@pytest.mark.parametrize("tilt_deg", [0.0, 18.5, -4.0])
def test_a_tilted_gantry_makes_a_sheared_stack(tilt_deg: float) -> None:
    """Slices 5 mm apart along the table lie 5 mm times the cosine of the tilt apart."""
    grid = slice_grid(small_protocol(tilt_deg), frame_of_reference_uid="2.25.1")

    assert grid.tilt_deg == pytest.approx(abs(tilt_deg), abs=1e-4)
    assert grid.slice_steps_mm == pytest.approx(5 * np.cos(np.radians(tilt_deg)))
    origins = np.asarray(grid.slice_origins_lps_mm)
    assert np.diff(origins, axis=0) == pytest.approx(np.tile([0.0, 0.0, 5.0], (3, 1)))


def test_the_middle_of_a_slice_lies_on_the_table_axis() -> None:
    """Whatever the tilt, the first slice is centred at x = y = 0 and its table position."""
    protocol = small_protocol(15.0)
    grid = slice_grid(protocol, frame_of_reference_uid="2.25.1")

    middle = grid.to_lps_mm((0, (MATRIX - 1) / 2, (MATRIX - 1) / 2))

    assert middle == pytest.approx([0, 0, protocol.first_mm], abs=1e-6)


def test_the_lattice_samples_where_the_grid_says_the_slices_are() -> None:
    """Without rotation, lattice points are patient coordinates of the slice's plane."""
    protocol = small_protocol(15.0)
    lattice = head_lattice(protocol)
    grid = slice_grid(protocol, frame_of_reference_uid="2.25.1")
    row, column = 30, 60

    # Planes 0, 1 and 2 make slice 0; the middle one is its centre plane.
    point = [
        float(axis[1, row, column])
        for axis in np.broadcast_arrays(lattice.x, lattice.y, lattice.z)
    ]
    y_index = lattice.rows_mm[row] / protocol.pixel_mm + (MATRIX - 1) / 2
    x_index = lattice.columns_mm[column] / protocol.pixel_mm + (MATRIX - 1) / 2

    assert lattice.planes_per_slice == 3
    assert point == pytest.approx(grid.to_lps_mm((0, y_index, x_index)), abs=1e-3)


def test_rotation_matrices_turn_and_keep_lengths() -> None:
    """90 degrees about z takes x to y; any turn is orthonormal with determinant one."""
    quarter = rotation_matrix((0.0, 0.0, 90.0))
    any_turn = rotation_matrix((12.0, -7.0, 33.0))

    assert quarter @ [1, 0, 0] == pytest.approx([0, 1, 0])
    assert any_turn @ any_turn.T == pytest.approx(np.eye(3))
    assert np.linalg.det(any_turn) == pytest.approx(1.0)


def test_magnifying_keeps_a_ramp_and_the_outside() -> None:
    """Cubic convolution reproduces a straight line; beyond the lattice lies the outside value."""
    protocol = replace(small_protocol(), pixel_mm=0.5)
    lattice = head_lattice(protocol)
    planes = protocol.slices * lattice.planes_per_slice
    ramp = np.broadcast_to(
        lattice.columns_mm, (planes, lattice.rows_mm.size, lattice.columns_mm.size)
    ).astype(np.float32)

    picture = to_slices(ramp, lattice, protocol, outside=0.0)

    pixels = (np.arange(MATRIX) - (MATRIX - 1) / 2) * 0.5
    within = np.abs(pixels) < 90
    assert picture.shape == (protocol.slices, MATRIX, MATRIX)
    assert picture[0, 256, within] == pytest.approx(pixels[within], abs=1e-2)
    assert picture[0, 256, 0] == 0.0


def test_noise_has_the_asked_strength_in_the_centre() -> None:
    """Standard deviation in the middle of an even slice is that of the protocol, within 10 %."""
    protocol = replace(small_protocol(), noise_hu=4.0)
    even = np.full((3, MATRIX, MATRIX), 35.0, dtype=np.float32)

    hu = develop(np.random.default_rng(0), even, protocol)

    assert hu.dtype == np.int16
    center = hu[:, 230:282, 230:282]
    assert float(center.std()) == pytest.approx(4.0, rel=0.1)
    assert float(center.mean()) == pytest.approx(35.0, abs=0.5)


def test_drawn_protocols_stay_within_what_scanners_do() -> None:
    """Pixels 0.42-0.5 mm, asked thickness and tilt kept, more noise in thin slices."""
    rng = np.random.default_rng(9)
    thick = [
        draw_protocol(rng, slice_thickness_mm=5.0, tilt_deg=None, top_mm=85.0) for _ in range(60)
    ]
    thin = [
        draw_protocol(rng, slice_thickness_mm=1.25, tilt_deg=7.0, top_mm=85.0) for _ in range(60)
    ]

    assert all(0.42 <= protocol.pixel_mm <= 0.5 for protocol in thick)
    assert {protocol.tilt_deg for protocol in thin} == {7.0}
    assert 0.4 < np.mean([protocol.tilt_deg == 0 for protocol in thick]) < 0.8
    assert np.mean([p.noise_hu for p in thin]) > 1.4 * np.mean([p.noise_hu for p in thick])
    assert all(protocol.slices in range(25, 33) for protocol in thick)


def test_the_gantry_is_tilted_to_follow_the_head() -> None:
    """With a tilt of 20 degrees the slices cut the head at less than 20 degrees on average."""
    rng = np.random.default_rng(1)
    angles = []
    for _ in range(20):
        protocol = draw_protocol(rng, slice_thickness_mm=5.0, tilt_deg=20.0, top_mm=85.0)
        lattice = head_lattice(replace(protocol, first_mm=0.0, last_mm=15.0))
        step_y = float(lattice.y[0, -1, 0] - lattice.y[0, 0, 0])
        step_z = float(lattice.z[0, -1, 0] - lattice.z[0, 0, 0])
        angles.append(np.degrees(np.arctan2(-step_z, step_y)))

    assert 4 < np.mean(angles) < 12
