"""Connected parts and the size floor."""

import numpy as np
import pytest
from scipy import ndimage

from pipeline.segmentation.components import keep_large_components
from pipeline.volume import HematomaMask, VoxelGrid, occupied_box, regular_grid


def mask_of(grid, *boxes):
    voxels = np.zeros(grid.shape_zyx, dtype=bool)
    for box in boxes:
        voxels[box] = True
    return HematomaMask(voxels_zyx=voxels, grid=grid)


def test_parts_below_the_floor_are_dropped():
    """Voxels of 10 mm3: 20 of them are 0.2 mL and stay, 9 are 0.09 mL and go."""
    grid = regular_grid((4, 20, 20), (10.0, 1.0, 1.0))
    mask = mask_of(grid, np.s_[0, 0:4, 0:5], np.s_[3, 10:13, 10:13])

    result = keep_large_components(mask, 0.1)

    assert result.voxels_zyx.sum() == 20
    assert result.voxels_zyx[0, 0:4, 0:5].all()


def test_parts_that_touch_at_a_corner_are_one():
    """Two parts of 0.06 mL each share a corner: together 0.12 mL."""
    grid = regular_grid((4, 20, 20), (10.0, 1.0, 1.0))
    mask = mask_of(grid, np.s_[0, 0:2, 0:3], np.s_[1, 2:4, 3:6])

    assert keep_large_components(mask, 0.12).voxels_zyx.sum() == 12
    assert keep_large_components(mask, 0.13).is_empty


def test_volume_follows_the_slab_of_each_slice():
    """Slices at 0, 1 and 9 mm stand for 1, 4.5 and 8 mm: ten voxels in the last are 0.08 mL."""
    grid = VoxelGrid(
        shape_zyx=(3, 10, 10),
        pixel_spacing_yx_mm=(1.0, 1.0),
        slice_origins_lps_mm=((0, 0, 0), (0, 0, 1), (0, 0, 9)),
    )
    mask = mask_of(grid, np.s_[2, 0:1, 0:10])

    assert not keep_large_components(mask, 0.08).is_empty
    assert keep_large_components(mask, 0.081).is_empty


def test_empty_mask_stays_empty():
    """Nothing in, nothing out."""
    grid = regular_grid((2, 4, 4), (5.0, 1.0, 1.0))

    assert keep_large_components(mask_of(grid), 0.1).is_empty


def test_negative_floor_is_refused():
    """A volume cannot be negative."""
    grid = regular_grid((2, 4, 4), (5.0, 1.0, 1.0))

    with pytest.raises(ValueError, match="negative"):
        keep_large_components(mask_of(grid), -0.1)


@pytest.mark.parametrize("seed", range(5))
def test_parts_are_those_of_the_whole_picture(seed):
    """Found in the box of the mask alone, and the same as SciPy finds in the whole volume."""
    rng = np.random.default_rng(seed)
    voxels = np.zeros((9, 30, 20), dtype=bool)
    voxels[2:8, 5:28, 3:19] = rng.random((6, 23, 16)) < 0.12
    grid = regular_grid(voxels.shape, (5.0, 1.0, 1.0))
    labels, count = ndimage.label(voxels, structure=np.ones((3, 3, 3)))
    volumes = ndimage.sum_labels(voxels, labels, range(1, count + 1)) * 5.0 / 1000
    floor_ml = float(np.median(volumes)) + 1e-6

    kept = keep_large_components(HematomaMask(voxels_zyx=voxels, grid=grid), floor_ml)

    expected = np.isin(labels, np.flatnonzero(volumes >= floor_ml) + 1)
    assert 0 < expected.sum() < voxels.sum()
    np.testing.assert_array_equal(kept.voxels_zyx, expected)


def test_the_box_of_a_mask_holds_it_and_no_more():
    """Against the extremes of the voxels that are set."""
    voxels = np.zeros((4, 6, 8), dtype=bool)
    assert occupied_box(voxels) is None
    voxels[1, 5, 2] = voxels[3, 2, 7] = True
    set_ones = np.argwhere(voxels)
    box = occupied_box(voxels)
    assert [side.start for side in box] == set_ones.min(axis=0).tolist()
    assert [side.stop for side in box] == (set_ones.max(axis=0) + 1).tolist()
