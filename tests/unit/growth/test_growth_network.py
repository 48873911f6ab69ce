"""The U-Net of the forecast: its size, its start, and what its channels mean."""

import pytest
import torch

from pipeline.errors import ModelBundleError
from pipeline.growth.folding import folding_share
from pipeline.growth.network import GrowthUNet, Motion
from pipeline.growth.warping import warp


def test_the_network_has_the_papers_parameters():
    """22.4 M (section 2.4); 22,395,651 by hand for widths 64, 128, 256, 512.

    3x3x3 convolutions n -> m have 27 n m + m, 2x2x2 transposed ones 8 n m + m.
    """
    with torch.device("meta"):
        network = GrowthUNet()

    def double(into, out):
        return 27 * into * out + out + 27 * out * out + out

    down = double(2, 64) + double(64, 128) + double(128, 256) + double(256, 512)
    ups = sum(8 * 2 * n * n + n for n in (256, 128, 64))
    merges = sum(double(2 * n, n) for n in (256, 128, 64))
    assert sum(p.numel() for p in network.parameters()) == down + ups + merges + 64 * 3 + 3
    assert round((down + ups + merges + 195) / 1e6, 1) == 22.4


def test_a_paper_patch_gives_a_field_of_its_size():
    """64 x 64 x 64 in, three channels of 64 x 64 x 64 out."""
    with torch.device("meta"):
        field = GrowthUNet()(torch.empty(1, 2, 64, 64, 64))

    assert field.shape == (1, 3, 64, 64, 64)


@pytest.mark.parametrize("motion", list(Motion))
def test_learning_starts_close_to_no_movement(motion):
    """An untrained network leaves a scan nearly where it is, in every way of moving."""
    torch.manual_seed(1)
    network = GrowthUNet(widths=[4, 4], motion=motion, patch_size_zyx=[8, 8, 8])

    field = network.displacement(network(torch.rand(2, 2, 8, 8, 8)))

    assert field.abs().max() < 0.05


def test_one_affine_moves_a_whole_patch():
    """As released, the field is affine: second differences vanish along every axis."""
    torch.manual_seed(1)
    network = GrowthUNet(widths=[2, 2], motion="as_released", patch_size_zyx=[8, 12, 8])
    with torch.no_grad():
        network.regressor.second.weight.normal_(std=0.1)

    field = network(torch.rand(1, 2, 8, 12, 8))

    assert field.abs().max() > 0.05
    for axis in (2, 3, 4):
        assert torch.diff(field, n=2, dim=axis).abs().max() < 1e-4


def test_the_affine_acts_as_torchs_own_affine_grid():
    """The displacement is the affine grid less the identity, in voxels."""
    torch.manual_seed(2)
    network = GrowthUNet(widths=[2, 2], motion="as_released", patch_size_zyx=[8, 8, 8])
    matrix = torch.eye(3, 4) + 0.1 * torch.randn(3, 4)
    with torch.no_grad():
        network.regressor.second.bias.copy_(matrix.flatten())
    image = torch.rand(1, 1, 8, 8, 8)

    moved = warp(image, network(torch.rand(1, 2, 8, 8, 8)))

    grid = torch.nn.functional.affine_grid(matrix[None], [1, 1, 8, 8, 8], align_corners=True)
    expected = torch.nn.functional.grid_sample(
        image, grid, align_corners=True, padding_mode="border"
    )
    assert torch.allclose(moved, expected, atol=1e-5)


def test_a_diffeomorphic_network_does_not_fold():
    """Its raw movement, taken as a displacement, would."""
    torch.manual_seed(3)
    network = GrowthUNet(widths=[2, 2], motion="diffeomorphic")
    raw = torch.nn.functional.interpolate(
        4 * torch.randn(1, 3, 6, 6, 6), size=(24, 24, 24), mode="trilinear", align_corners=True
    )

    assert folding_share(raw) > 0.02
    assert folding_share(network.displacement(raw)) < 0.01


@pytest.mark.parametrize(
    "arguments",
    [
        {"widths": [4]},
        {"widths": [4, 0]},
        {"motion": "sideways"},
        {"motion": "as_released"},
    ],
)
def test_impossible_networks_are_refused(arguments):
    """A card cannot ask for what the network does not have."""
    with pytest.raises(ModelBundleError):
        GrowthUNet(**arguments)


def test_weights_bound_to_a_patch_refuse_another():
    """The released regressor's matrix has the patch's size."""
    network = GrowthUNet(widths=[2, 2], motion="as_released", patch_size_zyx=[8, 8, 8])

    with pytest.raises(ModelBundleError, match="bound to"):
        network(torch.zeros(1, 2, 8, 8, 16))
