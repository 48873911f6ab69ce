"""The diffusion U-KAN against the released code's size, names and values."""

import pytest
import torch
from network_formula import formula_image, formula_state

from pipeline.errors import ModelBundleError
from training.synthesis.ukan import RELEASED_ARGUMENTS, UKanDiffusion, load_released
from training.synthesis.ukan_blocks import group_norm

#: First values and sum of squares of the output for `formula_image((1, 3, 32, 32))`, step 421.
GOLDEN_CORNER = [0.082478, -0.122536, -0.406368]
GOLDEN_SQUARES = 1135.425

SMALL = {"width": 8, "multipliers": (1, 2), "token_widths": (16, 24), "residual_blocks": 1}


def small(**changes):
    torch.manual_seed(3)
    return UKanDiffusion(**{**SMALL, "steps": 50, **changes}).eval()


def frozen(key):
    """Return whether a value is a table that is not learned."""
    return key.endswith(".grid") or key == "time_embedding.timembedding.0.weight"


@pytest.fixture(scope="module")
def released():
    """Return the released network, its weights not worth the time of drawing them."""
    with pytest.MonkeyPatch.context() as quick:
        for name in ("xavier_uniform_", "kaiming_uniform_", "normal_", "trunc_normal_"):
            quick.setattr(torch.nn.init, name, lambda weight, **_: weight)
        return UKanDiffusion(**RELEASED_ARGUMENTS).eval()


def test_the_released_network_has_its_size(released):
    """26.87 M, counted in the released class with its default arguments."""
    assert sum(one.numel() for one in released.parameters()) == 26_871_811


def test_a_released_checkpoint_is_loaded_by_name_and_gives_the_released_values(released):
    """The values of the released class for weights of a formula.

    To redo: build UKan_Hybrid(T=1000, ch=64, ch_mult=[1, 2, 3, 4], attn=[2],
    num_res_blocks=2, dropout=0.15) of CUHK-AIM-Group/U-KAN b20bf63, give both networks the
    weights of `formula_state`, tables kept; at 64 x 64 all outputs agreed to 2.2e-6.
    """
    weights = {
        key: one if frozen(key) else formula_state({key: one})[key]
        for key, one in released.state_dict().items()
    }

    load_released(released, weights)
    with torch.inference_mode():
        noise = released(formula_image((1, 3, 32, 32)), torch.tensor([421]))

    assert noise.shape == (1, 3, 32, 32)
    assert noise[0, 0, 0, :3].tolist() == pytest.approx(GOLDEN_CORNER, abs=1e-4)
    assert float(noise.double().square().sum()) == pytest.approx(GOLDEN_SQUARES, rel=1e-4)


def test_the_released_names_are_kept(released):
    """The names that the released code saves, one of each kind."""
    names = set(released.state_dict())

    assert {
        "time_embedding.timembedding.0.weight",
        "time_embedding.timembedding.3.bias",
        "downblocks.0.block1.2.weight",
        "downblocks.2.main.weight",
        "downblocks.3.shortcut.weight",
        "upblocks.3.main.bias",
        "kan_block2.0.kan.fc1.spline_scaler",
        "kan_dblock1.0.norm2.weight",
        "decoder2.temb_proj.1.weight",
        "dnorm3.bias",
        "tail.2.weight",
    } <= names
    assert len(names) == 303


def test_foreign_weights_are_refused_by_name():
    """Neither an unknown name nor bent knots pass."""
    network = small(as_released=True)
    state = network.state_dict()
    bent = {**state, "kan_block1.0.kan.fc1.grid": state["kan_block1.0.kan.fc1.grid"] * 1.01}

    with pytest.raises(ModelBundleError, match=r"attn\.proj"):
        load_released(network, {**state, "attn.proj": torch.zeros(1)})
    with pytest.raises(ModelBundleError, match="knots"):
        load_released(network, bent)


def test_the_default_is_grey_with_the_papers_blocks():
    """One channel; three KAN layers a block, with depth-wise convolutions and a residual."""
    network = small()
    block = network.kan_block1[0]
    tokens = torch.randn(1, 4, 4, 16)
    for layer in block.around:
        torch.nn.init.zeros_(layer[1].weight)
        torch.nn.init.zeros_(layer[1].bias)

    passed = block(tokens, torch.zeros(1, 32))

    assert network(torch.zeros(1, 1, 16, 16), torch.tensor([0])).shape == (1, 1, 16, 16)
    assert len(block.kans) == 3
    # Norms of weight zero silence the inner path: the tokens come through unchanged.
    assert torch.allclose(passed, tokens + block.temb_proj(torch.zeros(1, 32)))


def test_time_and_class_reach_every_pixel():
    """Another step or class changes the prediction; no class is the class "any"."""
    network = small(classes=2)
    torch.nn.init.normal_(network.tail[2].weight)
    image = torch.randn(1, 1, 16, 16)

    def noise(step, group=None):
        given = None if group is None else torch.tensor([group])
        return network(image, torch.tensor([step]), given)

    assert not torch.allclose(noise(3), noise(40))
    assert not torch.allclose(noise(3, 0), noise(3, 1))
    assert torch.equal(noise(3), noise(3, 2))


def test_images_may_have_any_size_that_can_be_halved():
    """Two levels and two token levels: multiples of 8."""
    network = small()

    assert network.size_multiple == 8
    assert network(torch.zeros(1, 1, 24, 40), torch.tensor([1])).shape == (1, 1, 24, 40)


@pytest.mark.parametrize("channels", [8, 12, 16, 24, 32, 48, 64, 80, 96, 112, 320])
def test_normalisation_keeps_what_is_added_to_one_channel(channels):
    """The time and the brightness of the noise are such means; single channels would lose them."""
    torch.manual_seed(1)
    image = torch.randn(2, channels, 6, 6)
    brighter = image.clone()
    brighter[:, 0] += 1

    norm = group_norm(channels)

    assert (norm(brighter) - norm(image))[:, 0].mean() > 0.2


def test_normalisation_is_the_released_one_where_channels_are_many():
    """32 groups from 64 channels on, so that released weights mean what they meant."""
    assert {group_norm(64 * factor).num_groups for factor in (1, 2, 3, 4, 5, 8)} == {32}


def test_a_narrow_network_sees_time_and_brightness():
    """Of one noisy image at two times, or brighter, it says different things everywhere."""
    network = small(dropout=0.0)
    for layer in network.modules():
        if isinstance(layer, torch.nn.Conv2d):
            torch.nn.init.normal_(layer.weight, std=0.2)
    image = torch.randn(1, 1, 16, 16)

    first, later, brighter = (
        network(image + offset, torch.tensor([step]))
        for offset, step in ((0.0, 5), (0.0, 40), (0.5, 5))
    )

    assert (later.mean() - first.mean()).abs() > 0.01 * first.std()
    assert (brighter.mean() - first.mean()).abs() > 0.01 * first.std()


def test_squares_of_pixels_cost_as_much_as_fewer_pixels():
    """With squares of 2 the inner layers see half the side, and nothing else is new."""
    plain, squares = small(), small(patch=2)
    seen = []
    squares.downblocks[0].register_forward_hook(
        lambda _module, _inputs, output: seen.append(tuple(output.shape))
    )

    noise = squares(torch.randn(1, 1, 32, 32), torch.tensor([3]))

    assert noise.shape == (1, 1, 32, 32)
    assert seen == [(1, 8, 16, 16)]
    assert squares.size_multiple == 2 * plain.size_multiple
    shapes = {name: one.shape for name, one in plain.state_dict().items()}
    others = {name for name, one in squares.state_dict().items() if one.shape != shapes.get(name)}
    assert others == {"head.weight", "tail.2.weight", "tail.2.bias"}
