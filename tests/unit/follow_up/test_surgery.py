"""Signs of surgery, one by one, and what is none."""

import numpy as np
import pytest
from follow_up_builder import head_grid, scanned

from pipeline.follow_up.alignment import AlignedScans
from pipeline.follow_up.surgery import surgery_signs

GRID = head_grid((3.0, 3.0, 3.0))


def drain(own, hu):
    """Return a catheter of 6 mm and 400 HU from the left vault 60 mm towards the middle."""
    x, y, z = np.moveaxis(own, -1, 0)
    return np.where((np.hypot(y + 20, z - 30) < 3.1) & (x > -5) & (x < 60), 400.0, hu)


def burr_hole(own, hu):
    """Return bone of 20 mm width taken out of the left vault."""
    x, y, z = np.moveaxis(own, -1, 0)
    return np.where((np.hypot(y, z - 30) < 10) & (x > 55) & (hu > 200), 30.0, hu)


def air(own, hu):
    """Return a pocket of air of 12 mm radius in the brain."""
    return np.where(np.linalg.norm(own - [0.0, -50.0, 20.0], axis=-1) < 12, -900.0, hu)


def calcification(own, hu):
    """Return a ball of 4 mm radius and 300 HU: dense, and not long enough for a catheter."""
    return np.where(np.linalg.norm(own - [-25.0, 10.0, 0.0], axis=-1) < 4, 300.0, hu)


def signs(before=None, after=None):
    first, second = (
        scanned(GRID, change=change).volume.hu_zyx.astype(np.float32) for change in (before, after)
    )
    return surgery_signs(
        AlignedScans(
            grid=GRID,
            baseline_hu_zyx=first,
            follow_up_hu_zyx=second,
            scanned_zyx=np.ones(GRID.shape_zyx, dtype=bool),
        )
    )


def test_new_air_is_found():
    """4/3 pi 1.2^3 = 7.2 mL, nothing else."""
    found = signs(after=air)

    assert found.new_air_ml == pytest.approx(7.2, rel=0.1)
    assert (found.new_dense_ml, found.missing_bone_ml) == (0, 0)
    assert found.are_there


def test_a_drain_is_found():
    """Its length in the brain, less 4 mm of depth: about 59 mm times pi 3.1^2 = 1.8 mL."""
    found = signs(after=drain)

    assert found.new_dense_ml == pytest.approx(1.8, rel=0.25)
    assert found.new_air_ml == 0
    assert found.are_there


def test_a_burr_hole_is_found():
    """Of a hole of 10 mm radius 7 mm are left by the margin: pi 7^2 x 7 mm = 1.1 mL."""
    found = signs(after=burr_hole)

    assert found.missing_bone_ml == pytest.approx(1.1, rel=0.4)
    assert found.are_there


@pytest.mark.parametrize("change", [None, drain, burr_hole, air])
def test_what_was_there_before_is_no_sign(change):
    """An old drain, hole or pocket that is still there says nothing of the time between."""
    assert not signs(before=change, after=change).are_there


def test_a_short_dense_piece_is_no_sign():
    """A calcification of 8 mm is no catheter."""
    assert signs(after=calcification).new_dense_ml == 0
