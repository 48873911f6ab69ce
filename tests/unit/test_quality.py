"""Doubts about content are raised by content."""

import numpy as np
import pytest
from ct_builder import Ball, build_ct_series

from pipeline.ct_series import read_ct_series
from pipeline.quality import assess_mask, assess_volume, head_content, inside_skull
from pipeline.quality_flags import QualityFlag
from pipeline.volume import CtVolume, HematomaMask, regular_grid

GRID = regular_grid((9, 16, 16), (5.0, 1.0, 1.0))


def head(**options) -> CtVolume:
    return read_ct_series(build_ct_series(shape_yx=(128, 128), **options))


def with_hu(volume: CtVolume, hu_zyx: np.ndarray) -> CtVolume:
    return CtVolume(hu_zyx=hu_zyx.astype(np.int16), grid=volume.grid)


def mask(z: slice, y: slice, x: slice) -> HematomaMask:
    voxels = np.zeros(GRID.shape_zyx, dtype=bool)
    voxels[z, y, x] = True
    return HematomaMask(voxels_zyx=voxels, grid=GRID)


MIDDLE = slice(5, 9)


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        (mask(slice(3, 6), MIDDLE, MIDDLE), set()),
        (mask(slice(3, 5), MIDDLE, MIDDLE), {QualityFlag.FEW_HEMATOMA_SLICES}),
        (mask(slice(0, 4), MIDDLE, MIDDLE), {QualityFlag.HEMATOMA_AT_EDGE}),
        (mask(slice(6, 9), MIDDLE, MIDDLE), {QualityFlag.HEMATOMA_AT_EDGE}),
        (mask(slice(3, 6), slice(0, 3), MIDDLE), {QualityFlag.HEMATOMA_AT_EDGE}),
        (mask(slice(3, 6), MIDDLE, slice(12, 16)), {QualityFlag.HEMATOMA_AT_EDGE}),
        (mask(slice(0, 0), MIDDLE, MIDDLE), set()),
    ],
)
def test_few_slices_and_edges_are_told(where, expected):
    """Fewer than three slices, and any of the six faces of the volume."""
    assert assess_mask(where) == expected


@pytest.mark.parametrize("options", [{}, {"tilt_deg": 20}, {"balls": [Ball(radius_mm=30)]}])
def test_a_head_is_a_head(options):
    """Neither tilt nor a large hematoma raises a doubt about the content."""
    volume = head(**options)

    assert assess_volume(volume) == volume.flags


def test_the_content_of_the_known_head_is_measured():
    """The brain is an ellipsoid with semi-axes 68, 86 and 83 mm: 2033 mL, nearly all scanned."""
    content = head_content(head(slices=62, spacing_mm=2.5))

    truth_ml = 4 / 3 * np.pi * 68 * 86 * 83 / 1000
    assert content.brain_ml == pytest.approx(truth_ml, rel=0.05)
    assert content.brain_share == pytest.approx(1.0)
    assert content.bright_ml == 0


def test_bright_vessels_away_from_bone_suggest_contrast():
    """A ball of 250 HU with 10 mm radius holds 4.2 mL; calcified plexus stays below 1 mL."""
    bright = head(balls=[Ball(radius_mm=10, hu=250, center_lps_mm=(15, -20, 10))])
    calcified = head(balls=[Ball(radius_mm=5, hu=250, center_lps_mm=(15, -20, 10))])

    assert assess_volume(bright) == {QualityFlag.CONTRAST_SUSPECTED}
    assert head_content(bright).bright_ml == pytest.approx(4.2, rel=0.1)
    assert assess_volume(calcified) == frozenset()


@pytest.mark.parametrize("offset", [-1024, 1024])
def test_a_wrong_rescale_is_implausible(offset):
    """A forgotten or doubled intercept moves air or bone out of their places."""
    volume = head()
    shifted = with_hu(volume, volume.hu_zyx.astype(int) + offset)

    assert QualityFlag.HU_IMPLAUSIBLE in assess_volume(shifted)


def test_a_stripped_brain_is_no_plausible_head():
    """Without skull there is no bone and nothing is enclosed."""
    volume = head()
    stripped = with_hu(volume, np.where(volume.hu_zyx > 100, -1000, volume.hu_zyx))

    assert assess_volume(stripped) == {QualityFlag.HU_IMPLAUSIBLE, QualityFlag.NOT_A_HEAD}


def test_a_chest_is_no_head():
    """Lung inside a cage of bone is not brain."""
    volume = head()
    chest = with_hu(volume, np.where(np.abs(volume.hu_zyx - 35) < 40, -850, volume.hu_zyx))

    assert QualityFlag.NOT_A_HEAD in assess_volume(chest)


def test_a_noisy_head_is_a_head():
    """Noise of 15 HU, that of a thin slice, moves brain values by less than the limits."""
    volume = head(noise_hu=15)

    assert assess_volume(volume) == frozenset()


def test_inside_the_skull_is_what_bone_surrounds():
    """A ring with a gap of a quarter still encloses; half a ring does not."""
    y, x = np.mgrid[:64, :64] - 31.5
    radius = np.hypot(y, x)
    ring = (radius > 24) & (radius < 28)
    angle = np.degrees(np.arctan2(y, x))
    with_gap = ring & ~((angle > 70) & (angle < 110))
    half = ring & (y < 0)

    inside = inside_skull(np.stack([ring, with_gap, half]))

    disc = np.pi * 24**2
    assert inside[0].sum() == pytest.approx(disc, rel=0.05)
    assert inside[1].sum() == pytest.approx(disc, rel=0.1)
    assert inside[2].sum() < 0.3 * disc


def test_an_empty_volume_is_no_head():
    """Nothing but air raises both doubts, and no error."""
    air = with_hu(head(slices=12, spacing_mm=5), np.full((12, 128, 128), -1000))

    assert assess_volume(air) == {QualityFlag.HU_IMPLAUSIBLE, QualityFlag.NOT_A_HEAD}
