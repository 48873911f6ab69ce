"""nnFormer: sizes, the released weights and their flaws, windows, patches."""

import itertools
import json
from pathlib import Path

import pytest
import torch
from network_formula import formula_image, formula_state

from pipeline.errors import ModelBundleError
from pipeline.segmentation.networks.nnformer import (
    NnFormer,
    load_upstream_nnformer,
    nnformer_arguments,
)
from pipeline.segmentation.networks.nnformer_attention import (
    join_windows,
    relative_position_index,
    split_windows,
)
from pipeline.segmentation.networks.nnformer_layout import StageShape, nnformer_shape
from pipeline.segmentation.networks.nnformer_stages import AttentionBlock
from pipeline.segmentation.networks.registry import build_network

GOLDEN = Path(__file__).with_name("nnformer_golden.json")
PATCHES = {"synapse": (32, 64, 64), "acdc": (14, 64, 64)}
HEAD_PATCHES = [(20, 320, 256), (16, 320, 320), (8, 128, 112), (12, 128, 128)]


def upstream_state(network):
    """Return formula weights under the names of the released code, indices included."""
    indices = {
        key: value for key, value in network.named_buffers() if key.endswith("position_index")
    }
    return {**formula_state(network.state_dict()), **indices}


def block(*, unmasked):
    """Return a shifted block on a 4x4x4 grid with 2x2x2 windows and strong weights."""
    shape = StageShape(
        width=4,
        heads=2,
        grid_zyx=(4, 4, 4),
        window_zyx=(2, 2, 2),
        shift_zyx=(1, 1, 1),
        shift_unmasked=unmasked,
    )
    made = AttentionBlock(shape, shifted=True, cross=False, drop_path=0.0).eval()
    made.load_state_dict(formula_state(made.state_dict()))
    return made


def influence(made, source, target):
    """Return how much a token changes when another one does."""
    features = formula_image((1, 4, 4, 4, 4))
    changed = features.clone()
    changed[(0, *source)] += torch.tensor([1.0, -2.0, 3.0, 0.5])
    with torch.inference_mode():
        return (made(changed) - made(features))[(0, *target)].abs().max().item()


@pytest.mark.parametrize(
    ("layout", "patch", "parameters"),
    [("synapse", (64, 128, 128), 149_538_078), ("acdc", (14, 160, 160), 37_157_126)],
)
def test_released_layouts_have_the_parameters_of_the_released_code(layout, patch, parameters):
    """149.5 M and 37.2 M with one channel and two classes, counted in the released code."""
    with torch.device("meta"):
        network = NnFormer(patch_size_zyx=patch, layout=layout)

    assert sum(weight.numel() for weight in network.parameters()) == parameters


@pytest.mark.parametrize("layout", ["synapse", "acdc"])
def test_released_forward_pass_is_reproduced(layout):
    """Weights from a formula, loaded under upstream's names, give the values checked upstream.

    To check anew: in the network files of github.com/282857341/nnFormer (d48aaeb) build
    ``nnFormer`` with ``embedding_dim=8``, ``num_heads=[1, 2, 4, 8]``, two classes and the crop
    of `PATCHES` (for ACDC with the windows and strides of its trainer and without deep
    supervision), load `formula_state` of its own state and run `formula_image` in eval mode.
    Largest difference found: 6.3e-6. At full size and full width, with random weights: 4.5e-5
    (Synapse) and 1.0e-5 (ACDC) in logits up to 11.2 and 5.7.
    """
    golden = json.loads(GOLDEN.read_text())[layout]["as_released"]
    network = NnFormer(patch_size_zyx=PATCHES[layout], layout=layout, width=8, as_released=True)
    load_upstream_nnformer(network, upstream_state(network))

    assert_golden(network, PATCHES[layout], golden)


@pytest.mark.parametrize("layout", ["synapse", "acdc"])
def test_default_differs_from_the_released_code_and_stays(layout):
    """Without the flaws the same weights give other values; these are this project's own."""
    golden = json.loads(GOLDEN.read_text())[layout]
    network = NnFormer(patch_size_zyx=PATCHES[layout], layout=layout, width=8)
    network.load_state_dict(formula_state(network.state_dict()))

    assert_golden(network, PATCHES[layout], golden["right"])
    assert golden["right"] != golden["as_released"]


def assert_golden(network, patch, golden):
    network.eval()
    if len(golden) > 1:
        network.deep_supervision = True
    with torch.inference_mode():
        found = network(formula_image((1, 1, *patch)))
    found = found if isinstance(found, list) else [found]
    assert len(found) == len(golden)
    for logits, expected in zip(found, golden, strict=True):
        values = logits.flatten()[:: max(1, logits.numel() // 24)][:24]
        torch.testing.assert_close(values, torch.tensor(expected), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("window", [(4, 4, 4), (3, 5, 5), (2, 3, 4)])
def test_every_offset_has_a_bias_of_its_own(window):
    """Two pairs share a row of the table if and only if their offset is the same."""
    index = relative_position_index(window, as_released=False)

    rows = {}
    tokens = list(itertools.product(*map(range, window)))
    for (i, a), (j, b) in itertools.product(enumerate(tokens), repeat=2):
        offset = tuple(p - q for p, q in zip(a, b, strict=True))
        rows.setdefault(offset, set()).add(index[i, j].item())
    offsets = (2 * window[0] - 1) * (2 * window[1] - 1) * (2 * window[2] - 1)
    assert all(len(row) == 1 for row in rows.values())
    assert len(set.union(*rows.values())) == len(rows) == offsets
    assert index.min() == 0
    assert index.max() == offsets - 1


def test_released_index_collides():
    """With 4x4x4 windows 343 offsets get 109 rows: (2+2+2 steps of 11, 7, 1) at most 6*19+1."""
    index = relative_position_index((4, 4, 4), as_released=True)

    assert index.max() == 6 * (11 + 7 + 1)
    assert len(index.unique()) < 343


def test_windows_join_to_the_volume_they_were_split_from():
    """Splitting and joining change nothing, and a window holds neighbours only."""
    volume = torch.arange(2 * 4 * 6 * 10 * 3.0).reshape(2, 4, 6, 10, 3)

    windows = split_windows(volume, (2, 3, 5))

    torch.testing.assert_close(join_windows(windows, (2, 3, 5), (4, 6, 10)), volume)
    torch.testing.assert_close(windows[0], volume[0, :2, :3, :5].reshape(-1, 3))


def test_shifted_windows_do_not_mix_opposite_borders():
    """The first and the last token share a window after the shift, but not in the volume."""
    assert influence(block(unmasked=False), (0, 0, 0), (3, 3, 3)) == 0
    assert influence(block(unmasked=False), (0, 1, 1), (3, 1, 1)) == 0
    assert influence(block(unmasked=True), (0, 0, 0), (3, 3, 3)) > 0


def test_shifted_windows_join_what_the_others_divide():
    """Tokens 1 and 2 of each axis lie in different windows, but in the same shifted one."""
    assert influence(block(unmasked=False), (1, 1, 1), (2, 2, 2)) > 0


def test_only_the_released_acdc_layout_goes_without_a_mask():
    """Synapse always had a mask, so released weights for it need one."""
    for layout, patch in PATCHES.items():
        shape = nnformer_shape(layout, patch, as_released=True)
        assert {stage.shift_unmasked for stage in shape.stages} == {layout == "acdc"}
        shape = nnformer_shape(layout, patch)
        assert not any(stage.shift_unmasked or stage.offsets_collide for stage in shape.stages)


def test_weights_learned_with_colliding_offsets_are_refused_by_the_default():
    """The index that upstream stores with its weights tells; the message names the remedy."""
    released = NnFormer(patch_size_zyx=(14, 64, 64), layout="acdc", width=8, as_released=True)
    network = NnFormer(patch_size_zyx=(14, 64, 64), layout="acdc", width=8)

    with pytest.raises(ModelBundleError, match="as_released=True"):
        load_upstream_nnformer(network, upstream_state(released))


def test_unknown_key_is_refused_by_name():
    """A checkpoint of another network is not loaded in part."""
    network = NnFormer(patch_size_zyx=(14, 64, 64), layout="acdc", width=8, as_released=True)
    state = {**upstream_state(network), "decoder.gate.weight": torch.zeros(1)}

    with pytest.raises(ModelBundleError, match=r"decoder\.gate\.weight"):
        load_upstream_nnformer(network, state)


@pytest.mark.parametrize("patch", HEAD_PATCHES)
def test_windows_of_head_ct_divide_its_grids(patch):
    """Nothing is padded, and no window holds more than 1024 tokens."""
    for stage in nnformer_shape("head_ct", patch).stages:
        pairs = zip(stage.grid_zyx, stage.window_zyx, strict=True)
        assert all(grid % window == 0 for grid, window in pairs)
        assert stage.window_zyx[0] * stage.window_zyx[1] * stage.window_zyx[2] <= 1024


def test_grids_of_head_ct_follow_from_the_patch():
    """Tokens of 1x4x4; slices are 5 mm apart and are first halved at the third stage."""
    stages = nnformer_shape("head_ct", (20, 320, 256)).stages

    assert [stage.grid_zyx for stage in stages] == [
        (20, 80, 64),
        (20, 40, 32),
        (10, 20, 16),
        (5, 10, 8),
    ]


def test_head_ct_network_is_built_from_json():
    """Arguments survive JSON; odd grids (112 / 4 = 28, 14, 7, 3) come back to full size."""
    arguments = nnformer_arguments((8, 128, 112), width=8)
    network = build_network("NnFormer", json.loads(json.dumps(arguments))).eval()

    with torch.inference_mode():
        logits = network(torch.zeros(1, 1, 8, 128, 112))

    assert logits.shape == (1, 2, 8, 128, 112)


def test_deep_supervision_gives_three_resolutions():
    """Heads at the patch, at 1/2 in the slice, and at 1/2, 1/4, 1/4."""
    network = NnFormer(patch_size_zyx=(4, 64, 64), width=4).eval()
    network.deep_supervision = True

    with torch.inference_mode():
        shapes = [tuple(logits.shape) for logits in network(torch.zeros(1, 1, 4, 64, 64))]

    assert shapes == [(1, 2, 4, 64, 64), (1, 2, 4, 32, 32), (1, 2, 2, 16, 16)]


def test_layout_without_heads_refuses_deep_supervision():
    """The released ACDC layout has one head."""
    network = NnFormer(patch_size_zyx=(14, 64, 64), layout="acdc", width=4)

    with pytest.raises(ValueError, match="supervised=True"):
        network.deep_supervision = True


def test_samples_of_a_batch_do_not_mix():
    """Windows of different samples are masked each by its own place in the volume."""
    network = NnFormer(patch_size_zyx=(8, 64, 64), width=4)
    network.load_state_dict(formula_state(network.state_dict()))
    network.eval().double()
    images = formula_image((2, 1, 8, 64, 64)).double()

    with torch.inference_mode():
        together = network(images)
        alone = torch.cat([network(images[:1]), network(images[1:])])

    torch.testing.assert_close(together, alone)


def test_every_weight_learns():
    """One backward pass with all heads reaches all parameters."""
    network = NnFormer(patch_size_zyx=(8, 64, 64), width=4, drop_path=0.0)
    network.deep_supervision = True

    sum(logits.square().mean() for logits in network(formula_image((1, 1, 8, 64, 64)))).backward()

    still = [
        name
        for name, weight in network.named_parameters()
        if weight.grad is None or not weight.grad.abs().max() > 0
    ]
    assert still == []


def test_blocks_are_dropped_in_training_only():
    """With a drop rate near one, the second block passes its input on in training."""
    shape = nnformer_shape("head_ct", (8, 64, 64), width=4).stages[3]
    made = AttentionBlock(shape, shifted=False, cross=False, drop_path=1 - 1e-9)
    features = formula_image((1, *shape.grid_zyx, shape.width))

    torch.testing.assert_close(made.train()(features), features)
    assert not torch.equal(made.eval()(features), features)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"patch_size_zyx": [20, 318, 256]}, r"\(1, 4, 4\).*\(20, 318, 256\)"),
        ({"patch_size_zyx": [8, 16, 16]}, "too small"),
        ({"patch_size_zyx": [64, 64]}, "three axes"),
        ({"patch_size_zyx": [8, 64, 64], "layout": "brats"}, "brats"),
        ({"patch_size_zyx": [8, 64, 64], "width": 7}, "even"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(arguments, message):
    """The message names what was found and what is needed."""
    with pytest.raises(ModelBundleError, match=message):
        build_network("NnFormer", arguments)


def test_image_of_another_size_is_refused():
    """The network is bound to its patch; the message names both sizes."""
    network = NnFormer(patch_size_zyx=(4, 64, 64), width=4)

    with pytest.raises(ValueError, match=r"\(4, 64, 64\).*\(4, 64, 96\)"):
        network(torch.zeros(1, 1, 4, 64, 96))
