"""nnU-Net's networks: sizes, plans, operators, checkpoints."""

import pytest
import torch
from network_formula import formula_image, formula_state
from nnunetv2.utilities.get_network_from_plans import get_network_from_plans

from pipeline.errors import ModelBundleError
from pipeline.segmentation.networks.nnunet import load_upstream_nnunet
from pipeline.segmentation.networks.registry import build_network

#: What nnU-Net's planner gives for head CT of 5 x 0.5 x 0.5 mm: patch 20x320x256, 7 stages.
HEAD_CT = {
    "n_stages": 7,
    "features_per_stage": [32, 64, 128, 256, 320, 320, 320],
    "conv_op": "torch.nn.modules.conv.Conv3d",
    "kernel_sizes": [[1, 3, 3]] * 3 + [[3, 3, 3]] * 4,
    "strides": [[1, 1, 1]] + [[1, 2, 2]] * 3 + [[2, 2, 2]] * 2 + [[1, 2, 2]],
    "conv_bias": True,
    "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
    "norm_op_kwargs": {"eps": 1e-5, "affine": True},
    "dropout_op": None,
    "dropout_op_kwargs": None,
    "nonlin": "torch.nn.LeakyReLU",
    "nonlin_kwargs": {"inplace": True},
}
PLAIN = {"n_conv_per_stage": [2] * 7, "n_conv_per_stage_decoder": [2] * 6}
#: Blocks of nnU-Net's preset ResEncM (and L) for seven stages.
RESIDUAL = {"n_blocks_per_stage": [1, 3, 4, 6, 6, 6, 6], "n_conv_per_stage_decoder": [1] * 6}

#: The same plan in small.
SMALL = {
    **HEAD_CT,
    "n_stages": 3,
    "features_per_stage": [4, 8, 8],
    "kernel_sizes": [[1, 3, 3], [3, 3, 3], [3, 3, 3]],
    "strides": [[1, 1, 1], [1, 2, 2], [2, 2, 2]],
    "n_conv_per_stage_decoder": [2, 2],
}
SMALL_BLOCKS = {
    "PlainConvUNet": {"n_conv_per_stage": [2, 2, 2]},
    "ResidualEncoderUNet": {"n_blocks_per_stage": [1, 2, 2]},
}


def small(architecture, **arguments):
    return build_network(architecture, {**SMALL, **SMALL_BLOCKS[architecture], **arguments})


def count(architecture, blocks):
    """Return the parameters of an architecture at the plan for head CT."""
    with torch.device("meta"):
        network = build_network(architecture, {**HEAD_CT, **blocks})
    return sum(weight.numel() for weight in network.parameters())


def double_convolution(inputs, outputs, kernel):
    """Return the parameters of two convolutions with offset, each with an affine norm."""
    return (inputs + outputs) * outputs * kernel + 2 * (outputs + 2 * outputs)


def test_plain_network_has_the_parameters_of_the_plan():
    """43.5 M, summed here over the stages by hand."""
    features = HEAD_CT["features_per_stage"]
    kernels = [9, 9, 9, 27, 27, 27, 27]
    volumes = [4, 4, 4, 8, 8, 4]  # of the transposed convolutions, 1x2x2 or 2x2x2
    encoder = sum(
        double_convolution(below, here, kernel)
        for below, here, kernel in zip([1, *features], features, kernels, strict=False)
    )
    decoder = sum(
        deep * skip * volume + skip  # transposed convolution
        + double_convolution(2 * skip, skip, kernel)
        + 2 * skip + 2  # two class logits
        for deep, skip, kernel, volume in zip(
            features[1:], features, kernels, volumes, strict=False
        )
    )  # fmt: skip

    found = count("PlainConvUNet", PLAIN)

    assert found == encoder + decoder
    assert round(found / 1e6, 1) == 43.5


def test_residual_network_is_larger_by_its_encoder():
    """Same decoder widths; 32 convolutions of the encoder become 64 and more."""
    assert count("ResidualEncoderUNet", RESIDUAL) > 2 * count("PlainConvUNet", PLAIN)


@pytest.mark.parametrize("architecture", SMALL_BLOCKS)
def test_network_is_the_one_that_nnunet_builds_from_the_same_plans(architecture):
    """nnU-Net's own builder, given the same arguments and weights, gives the same logits."""
    ours = small(architecture).eval()
    theirs = get_network_from_plans(
        f"dynamic_network_architectures.architectures.unet.{architecture}",
        {**SMALL, **SMALL_BLOCKS[architecture]},
        ("conv_op", "norm_op", "dropout_op", "nonlin"),
        1,
        2,
        allow_init=False,
        deep_supervision=False,
    ).eval()
    state = formula_state(theirs.state_dict())
    theirs.load_state_dict(state)
    load_upstream_nnunet(ours, theirs.state_dict())
    image = formula_image((1, 1, 4, 16, 24))

    with torch.inference_mode():
        torch.testing.assert_close(ours(image), theirs(image), atol=0, rtol=0)


@pytest.mark.parametrize("architecture", SMALL_BLOCKS)
def test_deep_supervision_is_a_switch_of_the_decoder(architecture):
    """Off at first; on, every level of the decoder gives logits, the finest first."""
    network = small(architecture)
    image = formula_image((1, 1, 4, 16, 24))

    alone = network(image)
    network.decoder.deep_supervision = True
    levels = network(image)

    assert alone.shape == (1, 2, 4, 16, 24)
    assert [tuple(level.shape) for level in levels] == [(1, 2, 4, 16, 24), (1, 2, 4, 8, 12)]
    torch.testing.assert_close(levels[0], alone)


@pytest.mark.parametrize(
    ("operator", "name"),
    [
        ("conv_op", "torch.nn.modules.conv.Conv2d"),
        ("norm_op", "torch.nn.BatchNorm3d"),
        ("dropout_op", "torch.nn.Dropout3d"),
        ("nonlin", "subprocess.Popen"),
    ],
)
@pytest.mark.parametrize("architecture", SMALL_BLOCKS)
def test_operator_that_is_not_listed_is_refused(architecture, operator, name):
    """A card's names are looked up in a table, never imported."""
    with pytest.raises(ModelBundleError, match=name):
        small(architecture, **{operator: name})


@pytest.mark.parametrize("name", ["torch.nn.LeakyReLU", "torch.nn.modules.activation.LeakyReLU"])
def test_operators_are_found_under_both_of_their_names(name):
    """nnU-Net writes either, depending on its version."""
    network = small("PlainConvUNet", nonlin=name)

    activations = [part for part in network.modules() if isinstance(part, torch.nn.LeakyReLU)]
    assert activations
    assert all(activation.negative_slope == 0.01 for activation in activations)


@pytest.mark.parametrize("architecture", SMALL_BLOCKS)
def test_checkpoint_is_loaded_without_what_it_repeats(architecture):
    """Weights are stored up to four times; the copies may be absent, and are not needed."""
    trained, network = small(architecture), small(architecture)
    trained.load_state_dict(formula_state(trained.state_dict()))
    whole = trained.state_dict()
    once = {
        key: value
        for key, value in whole.items()
        if ".all_modules." not in key and not key.startswith("decoder.encoder.")
    }

    load_upstream_nnunet(network, once)

    assert len(once) == len(list(trained.parameters())) < len(whole)
    for key, value in network.state_dict().items():
        torch.testing.assert_close(value, whole[key])


def test_checkpoint_of_several_gpus_is_loaded():
    """Distributed training puts ``module.`` before every key."""
    trained, network = small("PlainConvUNet"), small("PlainConvUNet")

    load_upstream_nnunet(
        network, {f"module.{key}": value for key, value in trained.state_dict().items()}
    )

    torch.testing.assert_close(
        network.decoder.seg_layers[0].weight, trained.decoder.seg_layers[0].weight
    )


def test_unknown_and_missing_keys_are_named():
    """A checkpoint of another plan is not loaded in part."""
    network = small("PlainConvUNet")
    state = network.state_dict()
    state["encoder.mamba.A_log"] = state.pop("decoder.seg_layers.1.bias")

    with pytest.raises(ModelBundleError) as refused:
        load_upstream_nnunet(network, state)

    assert "encoder.mamba.A_log" in str(refused.value)
    assert "decoder.seg_layers.1.bias" in str(refused.value)
