"""The network of BLAST-CT: size, published names, values of the published code."""

import json
from pathlib import Path

import pytest
import torch
from blast_ct_builder import (
    NARROW,
    ensemble,
    narrow_network,
    published_checkpoint,
)
from network_formula import formula_image, formula_state

from pipeline.errors import ModelBundleError
from pipeline.segmentation.networks.blast_ct import DeepMedic, load_published

GOLDEN = Path(__file__).with_name("blast_ct_golden.json")


def test_one_network_has_the_published_number_of_parameters():
    """1,030,033, counted in the published checkpoints without the running statistics."""
    with torch.device("meta"):
        network = DeepMedic()

    assert sum(weight.numel() for weight in network.parameters()) == 1_030_033


def test_the_published_values_are_reproduced():
    """Weights from a formula, under published names, give the values checked upstream.

    To check anew: build ``DeepMedic(1, 5, feature_maps=..., fully_connected=...)`` of
    github.com/biomedia-mira/blast-ct with the widths of `NARROW`, load `formula_state` of its
    own state, and run in eval mode `formula_image((1, 1, 30, 30, 30))` padded by 40 voxels of
    repeated edge, which is one of its patches of 110. Largest difference found: 1e-4, of
    logits up to 220.
    """
    network = DeepMedic(**NARROW).eval()
    load_published(network, formula_state(published_checkpoint(seed=0, **NARROW)))

    with torch.inference_mode():
        logits = network(formula_image((1, 1, 30, 30, 30)))

    values = logits.flatten()[:: logits.numel() // 24][:24]
    torch.testing.assert_close(
        values, torch.tensor(json.loads(GOLDEN.read_text())), atol=1e-3, rtol=1e-5
    )


def test_unknown_and_missing_keys_are_refused_by_name():
    """Nothing of a checkpoint is ignored in silence."""
    state = published_checkpoint(seed=0, **NARROW)
    del state["path(1, 1, 1)2.path.3.conv.weight"]

    with pytest.raises(
        ModelBundleError, match=r"unknown keys head\.weight; missing keys .*2\.units\.2\.conv"
    ):
        load_published(DeepMedic(**NARROW), state | {"head.weight": torch.ones(1)})


def test_a_kernel_of_another_shape_is_refused_by_name():
    """Widths other than the network's are told, not broadcast."""
    state = published_checkpoint(seed=0, **NARROW)
    state["fully_connected.2.conv.weight"] = torch.ones(4, 10, 1, 1, 1)

    with pytest.raises(ModelBundleError, match=r"joint\.2\.conv\.weight has shape \(4, 10"):
        load_published(DeepMedic(**NARROW), state)


def test_an_ensemble_answers_with_the_mean_softmax():
    """The softmax of its logits is the mean of its members' softmax."""
    members = [DeepMedic(**NARROW).eval() for _ in range(2)]
    for seed, member in enumerate(members):
        load_published(member, published_checkpoint(seed=seed, **NARROW))
    image = formula_image((1, 1, 15, 16, 17))

    with torch.inference_mode():
        mean = torch.stack([member(image).softmax(1) for member in members]).mean(0)
        together = ensemble(*members)(image).softmax(1)

    torch.testing.assert_close(together, mean)


def test_a_voxel_is_seen_from_where_the_coarsest_kernels_reach():
    """Eight 3x3x3 layers at every fifth voxel: 8 groups of five on either side, no further."""
    network = narrow_network()
    image = formula_image((1, 1, 100, 15, 15))
    changed = image.clone()
    changed[:, :, 47] += 1.0  # centre of the tenth group of five

    with torch.inference_mode():
        difference = (network(changed) - network(image)).abs().amax(dim=(0, 1, 3, 4))

    touched = difference.nonzero().flatten()
    assert (int(touched[0]), int(touched[-1])) == (5, 89)
