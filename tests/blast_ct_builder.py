"""Small BLAST-CT networks and checkpoints under the names of the published ones."""

import itertools

import torch
from network_formula import formula_state

from pipeline.model_card import ModelCard
from pipeline.segmentation.blast_ct.published import CLASS_NAMES, INTENSITY
from pipeline.segmentation.networks.blast_ct import (
    FACTORS,
    FEATURES,
    JOINT_FEATURES,
    BlastCt,
    DeepMedic,
)

#: Widths of a network that computes in milliseconds; equal neighbours have shortcuts.
NARROW = {"features": (4, 4, 6, 6, 6, 6, 8, 8), "joint_features": (10, 10)}


def narrow_network():
    """Return a small network with weights from a formula, its logits below twenty."""
    network = DeepMedic(**NARROW).eval()
    network.load_state_dict(formula_state(network.state_dict()))
    with torch.no_grad():
        network.joint[-1].conv.weight /= 20
    return network


def published_names():
    """Return the stem of every unit in a published checkpoint, in its order."""
    for number, factor in enumerate(FACTORS):
        for unit in range(len(FEATURES)):
            yield f"path({factor}, {factor}, {factor}){number}.path.{unit + 1}"
    for layer in range(len(JOINT_FEATURES) + 1):
        yield f"fully_connected.{layer}"


def published_checkpoint(*, seed, features=FEATURES, joint_features=JOINT_FEATURES):
    """Return random weights with the names and shapes of a published checkpoint."""
    generator = torch.Generator().manual_seed(seed)
    stack = list(itertools.pairwise((1, *features)))
    joint = list(itertools.pairwise((len(FACTORS) * features[-1], *joint_features, 5)))
    shapes = [(*pair, 3) for _ in FACTORS for pair in stack] + [(*pair, 1) for pair in joint]
    state = {}
    for stem, (below, above, side) in zip(published_names(), shapes, strict=True):
        for name in ("weight", "running_var"):
            state[f"{stem}.bn.{name}"] = 0.5 + torch.rand(below, generator=generator)
        for name in ("bias", "running_mean"):
            state[f"{stem}.bn.{name}"] = torch.randn(below, generator=generator) / 5
        state[f"{stem}.bn.num_batches_tracked"] = torch.tensor(1)
        kernel = torch.randn((above, below, side, side, side), generator=generator)
        state[f"{stem}.conv.weight"] = kernel / (below * side**3) ** 0.5
        state[f"{stem}.prelu.weight"] = torch.full((1,), 0.25)
    return state


def threshold_network():
    """Return a network that answers from the voxel's own density alone.

    Above 50 HU it says hematoma, below 20 HU oedema (class 3), else background. The convolutions
    of all pathways are zero and their shortcuts pass the image on; the joint layers read the
    fine pathway.
    """
    network = DeepMedic(features=(1,) * len(FEATURES), joint_features=(4, 4)).eval()
    for unit in [unit for pathway in network.pathways for unit in pathway.units]:
        _pass_on(unit, torch.zeros_like(unit.conv.weight))
    first, second, last = network.joint
    _pass_on(first, torch.tensor([0.0, 0.0, 1.0]).repeat(4, 1).view(4, 3, 1, 1, 1))
    _pass_on(second, torch.zeros(4, 4, 1, 1, 1))
    kernel = torch.zeros(5, 4, 1, 1, 1)
    kernel[1, 0], kernel[3, 1], kernel[0, 2] = 400.0, 400.0, 1.0
    _pass_on(last, kernel)
    # Three channels, cut off at zero: HU above 50, HU below 20, and a constant.
    last.slope.weight.data.zero_()
    last.norm.weight.data = torch.tensor([INTENSITY.sd, -INTENSITY.sd, 0.0, 0.0])
    last.norm.bias.data = torch.tensor([INTENSITY.mean - 50, 20 - INTENSITY.mean, 10.0, 0.0])
    return network


def _pass_on(unit, kernel):
    """Make a unit the kernel alone: no norm, no bend."""
    unit.norm.running_var.fill_(1 - unit.norm.eps)
    unit.slope.weight.data.fill_(1.0)
    unit.conv.weight.data.copy_(kernel)


def ensemble(*members):
    """Return an ensemble of networks of the same widths."""
    made = BlastCt(networks=len(members))
    made.networks = torch.nn.ModuleList(members)
    return made.eval()


def blast_ct_card(**changes):
    fields = {
        "name": "toy",
        "version": "1",
        "task": "segmentation",
        "architecture": "BlastCt",
        "architecture_arguments": {"networks": 1},
        "spacing_zyx_mm": (1.0, 1.0, 1.0),
        "patch_size_zyx": (110, 110, 110),
        "intensity": INTENSITY,
        "class_names": CLASS_NAMES,
        "probability_cutoff": 0.5,
        "minimum_component_ml": 0.1,
        "training_cohort": "none",
        "licence": "Apache-2.0",
        "intended_use": "tests",
        "demonstration": True,
    }
    return ModelCard(**{**fields, **changes})
