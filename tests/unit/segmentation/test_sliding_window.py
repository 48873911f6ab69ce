"""Tiles against the whole, and against nnU-Net's own tiling."""

import itertools

import numpy as np
import pytest
import torch
from nnunetv2.inference.sliding_window_prediction import (
    compute_gaussian,
    compute_steps_for_sliding_window,
)
from torch.nn import functional

from pipeline.segmentation.sliding_window import (
    SlidingWindow,
    predict_logits,
    tile_starts,
    tile_weight,
)

CPU = torch.device("cpu")


def voxelwise(tiles):
    """Look at single voxels only: tiling cannot change what it says."""
    return torch.cat([tiles * 2 - 1, 1 - tiles], dim=1)


@pytest.mark.parametrize("shape", [(5, 40, 37), (12, 16, 16), (30, 33, 50)])
@pytest.mark.parametrize("step", [0.5, 1.0])
@pytest.mark.parametrize("batch", [1, 3])
def test_voxelwise_network_gives_the_whole_volume_prediction(shape, step, batch):
    """For a network without context, tiles, weights, padding and batches leave no trace."""
    image = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    window = SlidingWindow(tile_zyx=(12, 16, 16), step=step, batch=batch, mirror_axes=(1, 2))

    result = predict_logits(voxelwise, image, window).logits

    torch.testing.assert_close(result, voxelwise(image[None, None])[0], atol=1e-5, rtol=1e-5)


def test_network_with_context_sees_padding_of_the_stated_value():
    """A volume smaller than the tile is surrounded by the padding value."""
    image = torch.zeros(4, 8, 8)
    window = SlidingWindow(tile_zyx=(4, 16, 16), padding_value=-5.0)
    seen = []

    predict_logits(lambda tiles: (seen.append(tiles), voxelwise(tiles))[1], image, window)

    assert seen[0].shape == (1, 1, 4, 16, 16)
    assert seen[0][0, 0, :, 4:12, 4:12].abs().max() == 0
    assert seen[0].min() == -5.0


@pytest.mark.parametrize(
    ("size", "tile", "step"), [(100, 32, 0.5), (33, 32, 0.5), (64, 32, 0.25), (97, 30, 1.0)]
)
def test_tiles_begin_where_those_of_nnunet_do(size, tile, step):
    """Independent implementation: nnU-Net's steps."""
    expected = compute_steps_for_sliding_window((size,) * 2, (tile,) * 2, step)[0]

    assert tile_starts(size, tile, step) == expected


def test_tiles_cover_every_voxel():
    """From the first voxel to the last, without a gap."""
    for size, tile in itertools.product((1, 7, 30, 61), (4, 16)):
        starts = tile_starts(size, tile, 0.5)
        covered = np.zeros(max(size, tile), dtype=bool)
        for start in starts:
            covered[start : start + tile] = True
        assert covered.all()


def test_weight_is_nnunets_gaussian():
    """The tile weight has the shape of nnU-Net's, which is scaled to another maximum."""
    expected = compute_gaussian(
        (12, 32, 24), value_scaling_factor=1, dtype=torch.float32, device=CPU
    )
    found = tile_weight((12, 32, 24))

    middle = expected > 0.05
    torch.testing.assert_close(found[middle], expected[middle], atol=0.02, rtol=0.05)
    assert found.min() > 0


def test_prediction_is_nnunets_for_a_network_with_context():
    """A blurring network tiled as nnU-Net tiles gives nnU-Net's weighted mean."""
    kernel = torch.rand(2, 1, 3, 3, 3, generator=torch.Generator().manual_seed(1))

    def blur(tiles):
        return functional.conv3d(tiles, kernel, padding=1)

    image = torch.randn(10, 40, 24, generator=torch.Generator().manual_seed(2))
    tile = (8, 16, 16)

    result = predict_logits(blur, image, SlidingWindow(tile_zyx=tile)).logits

    gaussian = compute_gaussian(tile, value_scaling_factor=1, dtype=torch.float32, device=CPU)
    totals, weights = torch.zeros(2, *image.shape), torch.zeros(image.shape)
    for corner in itertools.product(*compute_steps_for_sliding_window(image.shape, tile, 0.5)):
        place = tuple(slice(s, s + t) for s, t in zip(corner, tile, strict=True))
        totals[(slice(None), *place)] += blur(image[place][None, None])[0] * gaussian
        weights[place] += gaussian
    inner = (slice(None), slice(2, -2), slice(2, -2), slice(2, -2))
    torch.testing.assert_close(result[inner], (totals / weights)[inner], atol=0.05, rtol=0.05)


@pytest.mark.parametrize(
    "wrong", [{"step": 0.0}, {"step": 1.5}, {"batch": 0}, {"mirror_axes": (3,)}]
)
def test_impossible_windows_are_refused(wrong):
    """A window that cannot be is refused when it is made."""
    with pytest.raises(ValueError, match=r"[Tt]ile|axes"):
        SlidingWindow(tile_zyx=(4, 4, 4), **wrong)


def test_too_few_slices_are_made_up_by_those_at_the_ends():
    """Three slices in a tile of eight: two copies of the first below, three of the last above."""
    image = torch.arange(3.0)[:, None, None].expand(3, 16, 16)
    seen = []

    predict_logits(
        lambda tiles: (seen.append(tiles), voxelwise(tiles))[1],
        image,
        SlidingWindow(tile_zyx=(8, 16, 16), padding_value=-5.0),
    )

    assert seen[0][0, 0, :, 0, 0].tolist() == [0, 0, 0, 1, 2, 2, 2, 2]
