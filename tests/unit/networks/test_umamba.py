"""U-Mamba: sizes, the released weights, the Mamba block, half precision."""

import json
from pathlib import Path

import pytest
import torch
from network_formula import formula_image, formula_noise, formula_state
from torch.nn import functional

from pipeline.errors import ModelBundleError
from pipeline.segmentation.networks.mamba import Mamba, MambaLayer
from pipeline.segmentation.networks.registry import build_network
from pipeline.segmentation.networks.umamba import (
    load_upstream_umamba,
    umamba_bot,
    umamba_enc,
    without_float16,
)
from pipeline.segmentation.networks.umamba_layout import UMambaLayout, umamba_arguments

GOLDEN = Path(__file__).with_name("umamba_golden.json")

#: What nnU-Net plans for 5 mm head CT on 8 GB, as the network's arguments.
HEAD_CT = {
    "patch_size_zyx": [20, 320, 256],
    "features_per_stage": [32, 64, 128, 256, 320, 320, 320],
    "strides": [[1, 1, 1], *[[1, 2, 2]] * 3, *[[2, 2, 2]] * 2, [1, 2, 2]],
    "kernel_sizes": [*[[1, 3, 3]] * 3, *[[3, 3, 3]] * 4],
}

#: Four stages; in the last, of 2x2x2 voxels and 40 features, channels are tokens.
SMALL = {
    "patch_size_zyx": [4, 16, 16],
    "features_per_stage": [4, 6, 8, 40],
    "strides": [[1, 1, 1], [1, 2, 2], [2, 2, 2], [1, 2, 2]],
    "kernel_sizes": [[1, 3, 3], [1, 3, 3], [3, 3, 3], [3, 3, 3]],
}
BUILDERS = {"UMambaEnc": umamba_enc, "UMambaBot": umamba_bot}


def as_upstream_stores(network):
    """Return formula weights with upstream's repetitions: encoder in decoder, units twice."""
    state = formula_state(network.state_dict())
    stored = {}
    for key, value in state.items():
        names = [key]
        if ".conv1.conv." in key or ".conv2.conv." in key:
            names.append(key.replace(".conv.", ".all_modules.0."))
        if ".conv1.norm." in key or ".conv2.norm." in key:
            names.append(key.replace(".norm.", ".all_modules.1."))
        stored.update(dict.fromkeys(names, value))
        if key.startswith("encoder."):
            stored.update({f"decoder.{name}": value for name in names})
    return stored


def count(module):
    return sum(weight.numel() for weight in module.parameters())


def test_parameters_are_those_of_the_released_code():
    """63.6 M for Enc, 2.02 M of them in Mamba, and 62.3 M for Bot, counted in that code."""
    with torch.device("meta"):
        enc, bot = umamba_enc(**HEAD_CT), umamba_bot(**HEAD_CT)

    assert count(enc) == 63_608_156
    assert round(count(enc.encoder.mamba_layers) / 1e6, 2) == 2.02
    assert round(count(bot) / 1e6, 1) == 62.3


def test_a_released_checkpoint_of_seven_stages_has_622_keys():
    """With the repetitions known, the names of Enc add up to the 622 of a released model."""
    with torch.device("meta"):
        network = umamba_enc(**HEAD_CT)
        state = {key: torch.empty(1) for key in network.state_dict()}
        network.state_dict = lambda: state

    assert len(as_upstream_stores(network)) == 622


@pytest.mark.parametrize("name", BUILDERS)
def test_released_forward_pass_is_reproduced(name):
    """Weights from a formula, loaded under upstream's names, give the values checked upstream.

    To check anew: in umamba/nnunetv2/nets of github.com/bowang-lab/U-Mamba (28459e3) build
    ``UMambaEnc`` (``input_size=[4, 16, 16]``) and ``UMambaBot`` with the sizes of `SMALL`, two
    blocks per stage, ``conv_bias=True``, affine InstanceNorm3d with eps 1e-5, LeakyReLU and deep
    supervision; as mamba_ssm give it a package with ``Mamba`` of mamba_simple.py and, as
    ``selective_scan_fn``, the ``selective_scan_ref`` of github.com/state-spaces/mamba, which runs
    without CUDA. Load `formula_state` of this project's network (``strict=False``) and run
    `formula_image` in eval mode. Largest differences found: 5.9e-5 (Enc), 2.3e-6 (Bot) in logits
    up to 10.6; gradients of a random sum of logits within 5.4e-5 of the largest; with 32 to 256
    features, an 8x64x64 patch and random weights 2.1e-5 in logits up to 2.3.
    """
    network = BUILDERS[name](**SMALL, deep_supervision=True).eval()
    load_upstream_umamba(network, as_upstream_stores(network))

    with torch.inference_mode():
        found = network(formula_image((1, 1, 4, 16, 16)))

    for logits, expected in zip(found, json.loads(GOLDEN.read_text())[name], strict=True):
        values = logits.flatten()[:: max(1, logits.numel() // 24)][:24]
        torch.testing.assert_close(values, torch.tensor(expected), atol=1e-4, rtol=1e-4)


def test_an_unknown_weight_is_refused_by_name():
    """A key that upstream does not have stops the loading, and the message names it."""
    network = umamba_bot(**SMALL)
    state = {**network.state_dict(), "mamba_layer.gate.weight": torch.zeros(1)}

    with pytest.raises(ModelBundleError, match=r"mamba_layer\.gate\.weight"):
        load_upstream_umamba(network, state)


def test_channels_are_tokens_where_they_outnumber_voxels():
    """In the plans for head CT only the last stage, 5x5x4 voxels of 320 channels, is such."""
    assert UMambaLayout(**HEAD_CT).channel_token_voxels == (*[None] * 6, 100)


def test_deep_stages_have_one_block():
    """Of two blocks, the deeper half of 7 stages and the late third of the decoder keep one."""
    layout = UMambaLayout(**HEAD_CT)

    assert layout.encoder_blocks == (2, 2, 2, 2, 1, 1, 1)
    assert layout.decoder_blocks == (2, 2, 2, 2, 1, 1)


@pytest.mark.parametrize("name", BUILDERS)
def test_deep_supervision_returns_all_resolutions_finest_first(name):
    """Switched on, forward gives logits of every decoder stage; off, the finest alone."""
    network = build_network(name, SMALL).eval()
    image = formula_image((1, 1, 4, 16, 16))

    with torch.inference_mode():
        alone = network(image)
        network.deep_supervision = True
        every = network(image)

    sizes = [tuple(logits.shape) for logits in every]
    assert sizes == [(1, 2, 4, 16, 16), (1, 2, 4, 8, 8), (1, 2, 2, 4, 4)]
    torch.testing.assert_close(alone, every[0])


def test_a_token_does_not_see_those_behind_it():
    """Changing the sixth token leaves the output of the first five, and changes the sixth."""
    block = Mamba(4)
    block.load_state_dict(formula_state(block.state_dict()))
    tokens = formula_noise("tokens", (1, 9, 4))
    changed = tokens.clone()
    changed[:, 5] += 1

    with torch.inference_mode():
        difference = (block(changed) - block(tokens)).abs().amax(dim=(0, 2))

    assert difference[:5].max() == 0
    assert difference[5] > 1e-3


def test_tokens_run_through_the_volume_in_raster_order():
    """A changed voxel changes those behind it along x, then y, then z, and none before it."""
    layer = MambaLayer(3)
    layer.load_state_dict(formula_state(layer.state_dict()))
    image = formula_noise("volume", (1, 3, 2, 3, 4))
    changed = image.clone()
    changed[0, 0, 1, 0, 2] += 1

    with torch.inference_mode():
        touched = (layer(changed) != layer(image)).any(dim=1).flatten()

    # Voxel (1, 0, 2) of 2x3x4 is number 1*12 + 0*4 + 2.
    assert not touched[:14].any()
    assert touched[14:].all()


def test_fresh_steps_and_decays_are_those_of_the_paper():
    """Steps are between 0.001 and 0.1 at the start, decays are -1 to -16, the skip is 1."""
    torch.manual_seed(3)
    block = Mamba(64)

    steps = functional.softplus(block.dt_proj.bias.detach())
    assert steps.min() >= 0.001 * 0.999
    assert steps.max() <= 0.1 * 1.001
    # The middle of a log-uniform range is its geometric mean.
    assert 0.007 < float(steps.log().mean().exp()) < 0.014
    torch.testing.assert_close(block.A_log.detach().exp()[5], torch.arange(1.0, 17.0))
    assert block.D.detach().eq(1).all()


@pytest.mark.parametrize("name", BUILDERS)
@pytest.mark.parametrize("image_type", [torch.float32, torch.float16])
def test_float16_autocast_cannot_overflow_behind_mamba(name, image_type):
    """Mamba outputs of 1e9, far beyond float16, give finite logits under float16 autocast."""
    network = build_network(name, SMALL).eval()
    layers = [module for module in network.modules() if isinstance(module, MambaLayer)]
    reached, types = [], set()
    for layer in layers:
        with torch.no_grad():
            layer.mamba.out_proj.weight.mul_(1e10)
        layer.register_forward_hook(lambda _m, _i, out: reached.append(float(out.abs().max())))
    for module in network.modules():
        if not list(module.children()):
            module.register_forward_hook(lambda _m, _i, out: types.add(out.dtype))

    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.float16):
        logits = network(formula_image((1, 1, 4, 16, 16)).to(image_type))

    assert max(reached) > 65504
    assert logits.isfinite().all()
    assert torch.float16 not in types
    assert torch.bfloat16 in types


def test_a_gpu_without_bfloat16_computes_in_float32(monkeypatch):
    """Where float16 is asked for and bfloat16 is not to be had, autocast is off."""
    asked = {"is_autocast_enabled": lambda _kind: True}
    asked["get_autocast_dtype"] = lambda _kind: torch.float16
    for name, answer in asked.items():
        monkeypatch.setattr(torch, name, answer)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_given: False)

    class Region:
        def __init__(self, device_type, **given):
            self.asked = (device_type, given)

    monkeypatch.setattr(torch, "autocast", Region)

    assert without_float16("cuda").asked == ("cuda", {"enabled": False})


@pytest.mark.parametrize("name", BUILDERS)
def test_training_in_mixed_precision_stays_finite_and_learns(name):
    """Ten steps of the paper's optimiser under bfloat16 autocast lower the loss.

    Maps are three slices deep: on processors PyTorch 2.14 returns unwritten memory as the
    weights' gradient of a bfloat16 convolution over two (seen with one Conv3d alone).
    """
    torch.manual_seed(0)
    network = build_network(name, {**SMALL, "patch_size_zyx": [6, 16, 16]})
    optimiser = torch.optim.SGD(
        network.parameters(), lr=1e-3, momentum=0.99, nesterov=True, weight_decay=3e-5
    )
    image = formula_image((2, 1, 6, 16, 16))
    target = (image[:, 0] > 0).long()

    losses = []
    for _ in range(10):
        optimiser.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits = network(image)
        loss = functional.cross_entropy(logits.float(), target)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 12, error_if_nonfinite=True)
        optimiser.step()
        losses.append(loss.item())

    assert losses[-1] < losses[0]


def test_a_norm_behind_mamba_bounds_its_output():
    """With post_norm, tokens of any size leave a layer with unit variance."""
    layer = MambaLayer(8, post_norm=True)
    with torch.no_grad():
        layer.mamba.out_proj.weight.mul_(1e6)

    with torch.inference_mode():
        tokens = layer(formula_noise("volume", (1, 8, 2, 3, 4))).flatten(2)

    torch.testing.assert_close(tokens.var(1, correction=0), torch.ones(1, 24), atol=1e-3, rtol=0)


def test_another_patch_is_refused_where_channels_are_tokens():
    """A network built for 4x16x16 says that its deepest layer needs 8 voxels, not 16."""
    network = umamba_enc(**SMALL)

    with pytest.raises(ValueError, match="needs maps of 8 voxels, got 16"):
        network(formula_image((1, 1, 8, 16, 16)))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"strides": [[1, 1, 1]]}, "strides must have 4 entries, got 1"),
        ({"n_blocks_per_stage_decoder": [1] * 4}, "n_blocks_per_stage_decoder must have 3"),
        ({"patch_size_zyx": [4, 16, 20]}, "not divisible by 8 along axis 2"),
        ({"dropout": 0.1}, "dropout"),
    ],
)
def test_a_layout_that_cannot_be_is_refused(changed, message):
    """Sizes that contradict one another or are unknown are named before anything is built."""
    with pytest.raises(ModelBundleError, match=message):
        build_network("UMambaEnc", {**SMALL, **changed})


PLANS_NOW = {
    "patch_size": [20, 320, 256],
    "architecture": {
        "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
        "arch_kwargs": {
            "n_stages": 7,
            "features_per_stage": HEAD_CT["features_per_stage"],
            "kernel_sizes": HEAD_CT["kernel_sizes"],
            "strides": HEAD_CT["strides"],
            "n_conv_per_stage": [2] * 7,
            "n_conv_per_stage_decoder": [2] * 6,
        },
    },
}
PLANS_THEN = {
    "patch_size": [20, 320, 256],
    "UNet_base_num_features": 32,
    "unet_max_num_features": 320,
    "conv_kernel_sizes": HEAD_CT["kernel_sizes"],
    "pool_op_kernel_sizes": HEAD_CT["strides"],
    "n_conv_per_stage_encoder": [2] * 7,
    "n_conv_per_stage_decoder": [2] * 6,
}
PLANS_RESIDUAL = {
    "patch_size": [20, 320, 256],
    "architecture": {
        "arch_kwargs": {
            **{key: HEAD_CT[key] for key in ("features_per_stage", "kernel_sizes", "strides")},
            "n_blocks_per_stage": [1, 3, 4, 6, 6, 6, 6],
            "n_conv_per_stage_decoder": [1] * 6,
        }
    },
}


@pytest.mark.parametrize("plans", [PLANS_NOW, PLANS_THEN, PLANS_RESIDUAL])
def test_plans_of_either_version_give_the_arguments(plans):
    """Plans for head CT give JSON values of the network with 2,2,2,2,1,1,1 blocks."""
    arguments = umamba_arguments(plans)

    assert json.loads(json.dumps(arguments)) == arguments
    assert arguments == {
        **HEAD_CT,
        "n_blocks_per_stage": [2, 2, 2, 2, 1, 1, 1],
        "n_blocks_per_stage_decoder": [2, 2, 2, 2, 1, 1],
        "input_channels": 1,
        "num_classes": 2,
    }
