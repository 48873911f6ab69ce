"""Training in less memory gives the same gradients."""

import pytest
import torch
from torch import nn

from pipeline.segmentation.networks.registry import build_network
from training.segmentation.architectures import architecture
from training.segmentation.recompute import recompute_activations

#: Architectures, the share of kept activations that may remain, and the edge of the slices.
CASES = {
    "nnunet": (0.5, 32),
    "nnunet-resenc": (0.5, 32),
    "umamba-enc": (0.5, 32),
    "umamba-bot": (0.5, 32),
    "nnformer": (0.5, 32),
    "unetr-plus-plus": (0.95, 64),  # most of its blocks hold a batch normalisation
}


def step(name: str, edge: int, *, recompute: bool) -> tuple[dict[str, torch.Tensor], int]:
    """Return the gradients of a training step on two scans, and how much was kept for it."""
    row, patch = architecture(name), (4, edge, edge)
    torch.manual_seed(0)
    # In double precision: a gradient that vanishes, as before a norm, is noise in single.
    network = build_network(row.registry_name, row.arguments(patch, (5.0, 2.0, 2.0), 8)).double()
    if recompute:
        recompute_activations(network)
    image = torch.randn(2, 1, *patch, generator=torch.Generator().manual_seed(1)).double()
    kept: dict[int, int] = {}

    def keep(value: torch.Tensor) -> torch.Tensor:
        kept[value.untyped_storage().data_ptr()] = value.untyped_storage().nbytes()
        return value

    torch.manual_seed(2)  # of dropout
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda value: value):
        loss = network(image).square().mean()
    loss.backward()
    found = {key: weight.grad for key, weight in network.named_parameters()}
    return {key: grad for key, grad in found.items() if grad is not None}, sum(kept.values())


@pytest.mark.parametrize(
    ("name", "share", "edge"), [(name, *case) for name, case in CASES.items()], ids=CASES
)
def test_gradients_are_the_same_and_less_is_kept(name, share, edge):
    """Of every weight, by its own name; the kept activations weigh less than half."""
    plain, whole = step(name, edge, recompute=False)
    again, part = step(name, edge, recompute=True)

    assert plain.keys() == again.keys()
    for key, grad in plain.items():
        torch.testing.assert_close(again[key], grad, msg=lambda text, key=key: f"{key}: {text}")
    assert part < share * whole


def test_a_network_without_stages_is_refused():
    """Nobody believes to save memory who does not."""
    with pytest.raises(ValueError, match="Conv3d has no stages"):
        recompute_activations(nn.Conv3d(1, 1, 1))
