"""The networks and their registry."""

import pytest
import torch

from pipeline.errors import ModelBundleError
from pipeline.segmentation.networks.compact import CompactUNet, fold_pixels, unfold_pixels
from pipeline.segmentation.networks.registry import build_network

NNUNET_ARGUMENTS = {
    "n_stages": 2,
    "features_per_stage": [4, 8],
    "conv_op": "torch.nn.modules.conv.Conv3d",
    "kernel_sizes": [[1, 3, 3], [3, 3, 3]],
    "strides": [[1, 1, 1], [1, 2, 2]],
    "n_conv_per_stage_decoder": [1],
    "conv_bias": True,
    "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
    "norm_op_kwargs": {"eps": 1e-5, "affine": True},
    "nonlin": "torch.nn.LeakyReLU",
    "nonlin_kwargs": {"inplace": True},
}


@pytest.mark.parametrize("fold", [1, 2, 4])
def test_compact_network_keeps_the_size_of_its_input(fold):
    """Logits of two classes come out for every voxel, whatever the folding."""
    network = CompactUNet(features=(4, 8, 8), slice_strides=(1, 2), fold=fold)

    logits = network(torch.randn(1, 1, 4, 32, 48))

    assert logits.shape == (1, 2, 4, 32, 48)


def test_unfolding_undoes_folding():
    """Pixels folded into channels and unfolded again are where they were."""
    image = torch.randn(2, 3, 4, 8, 12)

    torch.testing.assert_close(unfold_pixels(fold_pixels(image, 4), 4), image)


def test_batch_does_not_mix_samples():
    """Instance normalisation: a sample's logits do not depend on its neighbours in the batch."""
    torch.manual_seed(0)
    network = CompactUNet(features=(4, 8), slice_strides=(1,), fold=2, volume_levels=1).eval()
    images = torch.randn(2, 1, 3, 16, 16)

    together = network(images)
    alone = torch.cat([network(images[:1]), network(images[1:])])

    torch.testing.assert_close(together, alone, atol=1e-4, rtol=1e-3)


def test_wrong_number_of_strides_is_refused():
    """Every level after the first has a stride along the slices."""
    with pytest.raises(ModelBundleError, match="CompactUNet"):
        build_network("CompactUNet", {"features": [4, 8], "slice_strides": [1, 1]})


def test_plain_nnunet_is_built_from_plans():
    """Arguments as nnU-Net's plans name them give its network, without deep supervision."""
    network = build_network("PlainConvUNet", {**NNUNET_ARGUMENTS, "n_conv_per_stage": [1, 1]})

    assert network(torch.randn(1, 1, 4, 16, 16)).shape == (1, 2, 4, 16, 16)


def test_residual_nnunet_is_built_from_plans():
    """The residual encoder of nnU-Net is built likewise."""
    network = build_network(
        "ResidualEncoderUNet", {**NNUNET_ARGUMENTS, "n_blocks_per_stage": [1, 1]}
    )

    assert network(torch.randn(1, 1, 4, 16, 16)).shape == (1, 2, 4, 16, 16)


def test_unknown_operator_is_refused():
    """Nothing is imported by a name that a card gives; only listed operators are used."""
    arguments = {**NNUNET_ARGUMENTS, "n_conv_per_stage": [1, 1], "nonlin": "os.system"}

    with pytest.raises(ModelBundleError, match=r"os\.system"):
        build_network("PlainConvUNet", arguments)


def test_unknown_architecture_is_refused():
    """The message lists the architectures that exist."""
    with pytest.raises(ModelBundleError, match="CompactUNet"):
        build_network("Oracle", {})
