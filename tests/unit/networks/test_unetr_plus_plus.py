"""UNETR++: sizes, the released weights and their flaw, paired attention, patches."""

import json
from pathlib import Path

import pytest
import torch
from network_formula import formula_image, formula_noise, formula_state

from pipeline.errors import ModelBundleError
from pipeline.segmentation.networks.registry import build_network
from pipeline.segmentation.networks.unetr_plus_plus import (
    UnetrPlusPlus,
    load_upstream_unetr_plus_plus,
    unetr_plus_plus_arguments,
)
from pipeline.segmentation.networks.unetr_plus_plus_blocks import PairedAttention, TransformerBlock
from pipeline.segmentation.networks.unetr_plus_plus_layout import LAYOUTS, unetr_plus_plus_shape

GOLDEN = Path(__file__).with_name("unetr_plus_plus_golden.json")
#: Patch and input channels of the golden values.
CASES = {"synapse": ((32, 64, 64), 1), "acdc": ((16, 64, 64), 1), "tumor": ((64, 64, 64), 4)}


def narrow(layout, *, as_released):
    patch, channels = CASES[layout]
    return UnetrPlusPlus(
        patch_size_zyx=patch,
        layout=layout,
        width=8,
        input_channels=channels,
        as_released=as_released,
    )


def upstream_state(network):
    """Return formula weights under the names of the released code, shared ones twice."""
    state = formula_state(network.state_dict())
    twice = {
        key.replace(".epa_block.E.", ".epa_block.F."): value
        for key, value in state.items()
        if ".epa_block.E." in key
    }
    return {**twice, **state}


def attention(*, as_released):
    made = PairedAttention(
        LAYOUTS["acdc"].block,
        tokens=6,
        width=8,
        heads=2,
        projection=3,
        as_released=as_released,
    ).eval()
    made.load_state_dict(formula_state(made.state_dict()))
    return made


@pytest.mark.parametrize(
    ("layout", "patch", "channels", "parameters"),
    [
        ("synapse", (64, 128, 128), 1, 42_951_470),
        ("acdc", (16, 160, 160), 1, 66_796_174),
        ("lung", (32, 192, 192), 1, 121_174_798),
        ("tumor", (128, 128, 128), 4, 42_647_374),
    ],
)
def test_released_layouts_have_the_parameters_of_the_released_code(
    layout, patch, channels, parameters
):
    """42.95 M, 66.8 M, 121.2 M and, of four channels, 42.6 M, counted in the released code."""
    with torch.device("meta"):
        network = UnetrPlusPlus(patch_size_zyx=patch, layout=layout, input_channels=channels)

    assert sum(weight.numel() for weight in network.parameters()) == parameters


@pytest.mark.parametrize("layout", CASES)
def test_released_forward_pass_is_reproduced(layout):
    """Weights from a formula, loaded under upstream's names, give the values checked upstream.

    To check anew: in the network files of github.com/Amshaker/unetr_plus_plus (dcba1c6) set the
    token counts (``input_size``, ``out_size``, ``feat_size``) to those of the patch in `CASES`,
    build ``UNETR_PP`` with ``dims=[8, 16, 32, 64]``, ``feature_size=4``, ``hidden_size=64`` and
    two classes, load `formula_state` of its own state (for Synapse ``F`` as ``E``) and run
    `formula_image` in eval mode. Largest difference found: 0. At full size and width, with
    random weights, it was 0 too for all four layouts.
    """
    golden = json.loads(GOLDEN.read_text())[layout]["as_released"]
    network = narrow(layout, as_released=True)
    load_upstream_unetr_plus_plus(
        network,
        upstream_state(network) if layout == "synapse" else formula_state(network.state_dict()),
    )

    assert_golden(network, golden)


@pytest.mark.parametrize("layout", CASES)
def test_default_differs_from_the_released_code_and_stays(layout):
    """Without the flaw the same weights give other values; these are this project's own."""
    golden = json.loads(GOLDEN.read_text())[layout]
    network = narrow(layout, as_released=False)
    network.load_state_dict(formula_state(network.state_dict()))

    assert_golden(network, golden["right"])
    assert golden["right"] != golden["as_released"]


def assert_golden(network, golden):
    network.eval()
    network.deep_supervision = True
    channels = network.encoder1.conv1.conv.in_channels
    with torch.inference_mode():
        found = network(formula_image((1, channels, *network.patch_size_zyx)))
    assert len(found) == len(golden) == 3
    for logits, expected in zip(found, golden, strict=True):
        values = logits.flatten()[:: max(1, logits.numel() // 24)][:24]
        torch.testing.assert_close(values, torch.tensor(expected), atol=1e-3, rtol=1e-4)


def test_token_branch_keeps_tokens_and_channels_in_their_places():
    """Tokens in another order, projected accordingly, give the same result in that order."""
    order = [3, 0, 5, 1, 4, 2]
    tokens = formula_noise("tokens", (1, 6, 8))
    for as_released in (False, True):
        made, reordered = (attention(as_released=as_released) for _ in range(2))
        with torch.inference_mode():
            reordered.E.weight.copy_(made.E.weight[:, order])
            reordered.F.weight.copy_(made.F.weight[:, order])
            same = torch.allclose(made(tokens)[:, order], reordered(tokens[:, order]), atol=1e-6)
        assert same is not as_released


def test_attention_is_that_of_the_paper():
    """Both branches for one head, written out: softmax of shared, normalised queries and keys."""
    made = PairedAttention(
        LAYOUTS["acdc"].block, tokens=5, width=4, heads=1, projection=3, as_released=False
    ).eval()
    made.load_state_dict(formula_state(made.state_dict()))
    tokens = formula_noise("tokens", (1, 5, 4))

    with torch.inference_mode():
        query, key, over_channels, over_tokens = (tokens[0] @ made.qkvv.weight.T).split(4, dim=1)
        few_keys = (made.E.weight @ key) + made.E.bias[:, None]
        few_values = (made.F.weight @ over_tokens) + made.F.bias[:, None]
        query, key = query / query.norm(dim=0), key / key.norm(dim=0)
        by_channel = ((query.T @ key) * made.temperature[0]).softmax(1) @ over_channels.T
        by_token = ((query @ few_keys.T) * made.temperature2[0]).softmax(1) @ few_values
        expected = torch.cat([made.out_proj(by_token), made.out_proj2(by_channel.T)], dim=1)
        found = made(tokens)[0]

    torch.testing.assert_close(found, expected)


def test_block_begins_as_convolutions_only():
    """The attention's share starts at a millionth, so that training begins stable."""
    block = TransformerBlock(
        LAYOUTS["acdc"].block, tokens=8, width=8, heads=4, projection=4, as_released=False
    )

    assert block.gamma.tolist() == pytest.approx([1e-6] * 8)


def test_projections_that_should_be_one_must_be_equal():
    """Synapse stores one projection as E and F; if they differ, the weights are another's."""
    network = narrow("synapse", as_released=True)
    state = upstream_state(network)
    key = "unetr_pp_encoder.stages.0.0.epa_block.F.weight"
    state[key] = state[key] + 1

    with pytest.raises(ModelBundleError, match=r"stages\.0\.0\.epa_block\.F\.weight"):
        load_upstream_unetr_plus_plus(network, state)


def test_keys_and_values_of_acdc_have_projections_of_their_own():
    """F is no duplicate there: its weights are loaded."""
    network = narrow("acdc", as_released=True)
    state = formula_state(network.state_dict())

    load_upstream_unetr_plus_plus(network, state)

    projection = network.unetr_pp_encoder.stages[0][0].epa_block
    key = "unetr_pp_encoder.stages.0.0.epa_block.F.weight"
    torch.testing.assert_close(projection.F.weight.detach(), state[key])
    assert not torch.equal(projection.F.weight, projection.E.weight)


def test_unknown_key_is_refused_by_name():
    """Weights of the ACDC layout do not fit Synapse; the second convolution unit tells."""
    network = narrow("synapse", as_released=True)
    state = {**upstream_state(network), "decoder5.decoder_block.0.0.conv52.x": torch.zeros(1)}

    with pytest.raises(ModelBundleError, match="conv52"):
        load_upstream_unetr_plus_plus(network, state)


def test_weights_of_another_patch_are_refused():
    """Each token has weights of its own; the message names both shapes."""
    trained = UnetrPlusPlus(patch_size_zyx=(8, 32, 32), width=8)
    other = UnetrPlusPlus(patch_size_zyx=(8, 32, 64), width=8)

    with pytest.raises(ModelBundleError, match="has shape"):
        load_upstream_unetr_plus_plus(other, trained.state_dict())


def test_grids_of_head_ct_follow_from_the_patch():
    """Patch / stem / 1, 2, 4, 8; an axis with an odd number of tokens keeps them."""
    whole = unetr_plus_plus_shape("head_ct", (16, 320, 256))
    odd = unetr_plus_plus_shape("head_ct", (20, 320, 256))

    assert whole.grids == ((16, 80, 64), (8, 40, 32), (4, 20, 16), (2, 10, 8))
    assert whole.tokens == (81920, 10240, 1280, 160)
    assert odd.grids == ((20, 80, 64), (10, 40, 32), (5, 20, 16), (5, 10, 8))


def test_head_ct_is_the_acdc_network_where_both_fit():
    """Same keys and shapes, so weights of one load into the other."""
    patch = (16, 64, 64)
    acdc = UnetrPlusPlus(patch_size_zyx=patch, layout="acdc", width=8)

    load_upstream_unetr_plus_plus(
        UnetrPlusPlus(patch_size_zyx=patch, layout="head_ct", width=8), acdc.state_dict()
    )


def test_head_ct_network_is_built_from_json():
    """Arguments survive JSON; odd grids (112 / 4 = 28, 14, 7, 7) come back to full size."""
    arguments = unetr_plus_plus_arguments((8, 64, 112), width=8, projection=8)
    network = build_network("UnetrPlusPlus", json.loads(json.dumps(arguments))).eval()

    with torch.inference_mode():
        logits = network(torch.zeros(1, 1, 8, 64, 112))

    assert logits.shape == (1, 2, 8, 64, 112)


def test_deep_supervision_gives_three_resolutions():
    """Heads at the patch and at the two finest grids."""
    network = UnetrPlusPlus(patch_size_zyx=(8, 32, 32), width=4).eval()
    network.deep_supervision = True

    with torch.inference_mode():
        shapes = [tuple(logits.shape) for logits in network(torch.zeros(1, 1, 8, 32, 32))]

    assert shapes == [(1, 2, 8, 32, 32), (1, 2, 8, 8, 8), (1, 2, 4, 4, 4)]


def test_network_with_one_head_refuses_deep_supervision():
    """Without the coarser heads there is nothing to supervise."""
    network = UnetrPlusPlus(patch_size_zyx=(8, 32, 32), width=4, supervised=False)

    with pytest.raises(ValueError, match="supervised=True"):
        network.deep_supervision = True


def test_every_weight_learns():
    """One backward pass with all heads reaches all parameters."""
    # Two channels to each attention head, as one would leave the channel branch nothing to weigh.
    network = UnetrPlusPlus(patch_size_zyx=(8, 32, 32), width=8)
    network.load_state_dict(formula_state(network.state_dict()))
    network.deep_supervision = True

    sum(logits.square().mean() for logits in network(formula_image((2, 1, 8, 32, 32)))).backward()

    still = [
        name
        for name, weight in network.named_parameters()
        if weight.grad is None or not weight.grad.abs().max() > 0
    ]
    assert still == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"patch_size_zyx": [16, 328, 256]}, r"\(1, 16, 16\).*\(16, 328, 256\)"),
        ({"patch_size_zyx": [20, 160, 160], "layout": "acdc"}, r"\(8, 32, 32\).*\(20, 160, 160\)"),
        ({"patch_size_zyx": [64, 64]}, "three axes"),
        ({"patch_size_zyx": [8, 64, 64], "layout": "brats"}, "brats"),
        ({"patch_size_zyx": [8, 64, 64], "width": 6}, "4 heads"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(arguments, message):
    """The message names what was found and what is needed."""
    with pytest.raises(ModelBundleError, match=message):
        build_network("UnetrPlusPlus", arguments)


def test_image_of_another_size_is_refused():
    """The network is bound to its patch; the message names both sizes."""
    network = UnetrPlusPlus(patch_size_zyx=(8, 32, 32), width=4)

    with pytest.raises(ValueError, match=r"\(8, 32, 32\).*\(8, 32, 64\)"):
        network(torch.zeros(1, 1, 8, 32, 64))
