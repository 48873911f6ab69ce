"""SLEX-Net: size, upstream's weights and numbers, the stack, the uncertainty."""

import json
import math
from pathlib import Path

import pytest
import torch
from slex_builder import formula_triplet, formula_weights

from pipeline.errors import ModelBundleError
from pipeline.segmentation.networks.registry import build_network
from pipeline.segmentation.networks.slex_net import SlexNet, SlexOutput, load_upstream_slex

GOLDEN = Path(__file__).with_name("slex_net_golden.json")


@pytest.fixture(scope="module")
def small():
    """Return a narrow network whose batch normalisation has seen something."""
    network = SlexNet(width=4)
    network.load_state_dict(formula_weights(network.state_dict()))
    return network.eval()


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


def opinion(*foreground):
    """Return logits (1, 2, 1, n) whose softmax gives these foreground probabilities."""
    odds = torch.logit(torch.tensor(foreground, dtype=torch.float64))
    return torch.stack([torch.zeros_like(odds), odds])[None, :, None]


def test_parameters_are_those_of_the_published_network():
    """13,394,242 in the backbone and 13,395,394 in the SEM, counted in the published code."""
    network = build_network("SlexNet", {})

    assert count(network.backbone) == 13_394_242
    assert count(network.expansion) == 13_395_394
    assert count(network) == 26_789_636


def test_golden_values_are_reproduced():
    """Weights from a formula give the logits and doubts that were checked against upstream.

    To check anew: load `formula_weights` into ``HybridUNet_single_out_consistency(1, 2, 0, 3, 2)``
    of github.com/JohnleeHIT/SLEX-Net (95b2e3e, with ``kaiming_normal`` aliased to
    ``kaiming_normal_``), run `formula_triplet` with a weight of 0.2 in eval mode and compare
    ``final_out`` and ``-m ln m`` of ``softmax_out[:, [1, 3, 5]].mean(1)``; the largest difference
    found was 2.4e-7. The file holds every 61st value of this project's own result.
    """
    golden = json.loads(GOLDEN.read_text())
    network = SlexNet(as_released_uncertainty=True)
    load_upstream_slex(network, upstream_state(network, "SMM."))
    network.eval()

    with torch.inference_mode():
        output = network.segment_triplets(formula_triplet())
        doubt = network.uncertainty(output)

    for found, expected in (
        (output.final, golden["final_logits"]),
        (doubt, golden["released_uncertainty"]),
    ):
        torch.testing.assert_close(
            found.flatten()[::61], torch.tensor(expected), atol=1e-4, rtol=1e-4
        )


def upstream_state(network, prefix):
    """Return formula weights under the names of the published code."""
    names = {key: key.replace("expansion.", prefix) for key in network.state_dict()}
    return formula_weights(
        {names[key]: value for key, value in network.state_dict().items()},
    )


@pytest.mark.parametrize("prefix", ["SMM.", "SEM."])
def test_checkpoints_of_both_published_classes_load(prefix):
    """The twin classes differ only in the name under which they store the expansion module."""
    network = SlexNet(width=2)
    state = upstream_state(network, prefix)

    load_upstream_slex(network, state)

    torch.testing.assert_close(
        network.expansion.outc.conv.weight.data, state[f"{prefix}outc.conv.weight"]
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda state: state.update({"SMM.extra": torch.zeros(1)}),
            r"unknown keys expansion\.extra",
        ),
        (lambda state: state.pop("backbone.outc.conv.bias"), r"missing keys backbone\.outc\.conv"),
        (lambda state: state.update({"SEM.outc.conv.bias": torch.zeros(2)}), "twice"),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_refused_by_the_name_of_the_key(change, message):
    """Unknown, missing and doubled keys are named, nothing is loaded silently."""
    network = SlexNet(width=2)
    state = upstream_state(network, "SMM.")
    change(state)

    with pytest.raises(ModelBundleError, match=message):
        load_upstream_slex(network, state)


def test_a_stack_gives_what_every_triplet_alone_gives(small):
    """Backbone results are reused for the neighbours; the naive way, five U-Nets a slice, agrees.

    The end slices are targets too, with themselves in the place of the missing neighbour.
    """
    generator = torch.Generator().manual_seed(3)
    stack = torch.randn(2, 1, 7, 32, 48, generator=generator)
    padded = torch.cat([stack[:, 0, :1], stack[:, 0], stack[:, 0, -1:]], dim=1)

    with torch.inference_mode():
        logits, doubt = small.segment_stack(stack)
        alone = [small.segment_triplets(padded[:, first : first + 3]) for first in range(7)]

    naive = torch.stack([output.final for output in alone], dim=2)
    naive_doubt = torch.stack([small.uncertainty(output) for output in alone], dim=1)
    assert logits.shape == (2, 2, 7, 32, 48)
    torch.testing.assert_close(logits, naive, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(doubt, naive_doubt, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(small(stack), logits)


def test_the_backbone_sees_every_slice_of_a_stack_once(small):
    """Seven slices, seven backbone passes (the published way: three a target, 21)."""
    seen = []
    handle = small.backbone.register_forward_hook(lambda _m, i, _o: seen.append(len(i[0])))

    with torch.inference_mode():
        small(torch.zeros(1, 1, 7, 16, 16))
    handle.remove()

    assert sum(seen) == 7


@pytest.mark.parametrize("shape", [(16, 16), (37, 50)])
def test_one_slice_and_odd_sizes_pass(small, shape):
    """A stack of one slice is its own neighbour; odd rows and columns are made up for."""
    with torch.inference_mode():
        logits, doubt = small.segment_stack(torch.zeros(1, 1, 1, *shape))

    assert logits.shape == (1, 2, 1, *shape)
    assert doubt.shape == (1, 1, *shape)


def test_only_the_neighbours_of_a_changed_slice_change(small):
    """What is seen in a slice reaches one slice up and one down, no farther."""
    stack = torch.zeros(1, 1, 7, 16, 16)
    changed = stack.clone()
    changed[:, :, 3] = torch.linspace(-1, 2, 256).reshape(16, 16)

    with torch.inference_mode():
        moved = (small(stack) - small(changed)).abs().amax(dim=(0, 1, 3, 4)) > 1e-4

    assert moved.tolist() == [False, False, True, True, True, False, False]


def test_agreeing_paths_weigh_a_fifth_each():
    """At perfect agreement the final logit is 0.6 backbone + 0.2 + 0.2 (lambda 0.2)."""
    network = SlexNet(width=1)
    one, ten = torch.full((1, 2, 1, 1), 1.0), torch.full((1, 2, 1, 1), 10.0)

    output = network._weigh(backbone=ten, forward_path=one, backward_path=one)

    torch.testing.assert_close(output.final, torch.full_like(one, 0.6 * 10 + 0.4 * 1))


def test_contradicting_paths_leave_the_word_to_the_backbone():
    """exp(-(s0 - s2)^2) vanishes where the paths differ by much."""
    network = SlexNet(width=1)
    high, low = torch.full((1, 2, 1, 1), 9.0), torch.full((1, 2, 1, 1), -9.0)
    own = torch.full((1, 2, 1, 1), 0.7)

    output = network._weigh(backbone=own, forward_path=high, backward_path=low)

    torch.testing.assert_close(output.final, own)


def output_of(foreground):
    logits = opinion(*foreground)
    return SlexOutput(final=logits, forward_path=logits, backward_path=logits, backbone=logits)


def test_uncertainty_is_the_binary_entropy_of_the_mean_opinion():
    """Opinions 0.9, 0.2 and 0.4 have the mean 0.5 and thus the entropy ln 2."""
    output = SlexOutput(
        final=opinion(0.01),
        forward_path=opinion(0.9),
        backward_path=opinion(0.2),
        backbone=opinion(0.4),
    )

    doubt = SlexNet(width=1).uncertainty(output)

    assert doubt.item() == pytest.approx(math.log(2))


def test_uncertainty_treats_both_classes_alike():
    """Binary entropy is symmetric about one half; the released term is not."""
    sure, released = SlexNet(width=1), SlexNet(width=1, as_released_uncertainty=True)
    output = output_of([0.1, 0.9])

    proper, theirs = sure.uncertainty(output).flatten(), released.uncertainty(output).flatten()

    # -0.1 ln 0.1 - 0.9 ln 0.9 = 0.23026 + 0.09482
    assert proper.tolist() == pytest.approx([0.325083, 0.325083], abs=1e-6)
    assert theirs.tolist() == pytest.approx([0.230259, 0.094824], abs=1e-6)


@pytest.mark.parametrize("as_released", [False, True])
def test_certainty_is_no_uncertainty_and_never_nan(as_released):
    """At a mean of exactly 0 or 1 the doubt is 0; the published code yields NaN at 0."""
    network = SlexNet(width=1, as_released_uncertainty=as_released)
    certain = torch.tensor([[-1e4, 1e4], [1e4, -1e4]])[None, :, None]
    output = SlexOutput(
        final=certain, forward_path=certain, backward_path=certain, backbone=certain
    )

    assert network.uncertainty(output).flatten().tolist() == [0.0, 0.0]


@pytest.mark.parametrize("arguments", [{"width": 0}, {"consistency_weight": 0.6}, {"depth": 3}])
def test_impossible_arguments_are_refused(arguments):
    """The registry names the architecture that cannot be built so."""
    with pytest.raises(ModelBundleError, match="SlexNet"):
        build_network("SlexNet", arguments)
