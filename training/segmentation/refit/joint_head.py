"""The joint layers of a BLAST-CT network as a network of its own, on features of voxels."""

import copy
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.segmentation.networks.blast_ct import DeepMedic, Unit


class JointHead(nn.Module):
    """What three 1x1x1 layers make of the pathways' outputs.

    Batch norms keep the statistics of the published network: the features are frozen, so the
    statistics of the first layer stay true, and those of the others are part of the start.

    Parameters
    ----------
    network : DeepMedic
        Whose joint layers are copied.
    alive : Tensor of bool, shape (channels,)
        Which inputs of the first layer are given; the others are constant.
    """

    def __init__(self, network: DeepMedic, alive: Tensor) -> None:
        super().__init__()
        self.units = copy.deepcopy(network.joint).eval()
        first = self._first
        norm = first.norm
        assert norm.running_var is not None  # noqa: S101  batch norm of this network tracks both
        assert norm.running_mean is not None  # noqa: S101
        scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
        # A dead input is exactly zero before its norm.
        constant = (norm.bias - norm.running_mean * scale).detach()
        self.register_buffer("alive", alive.clone())
        self.register_buffer("constant", constant[~alive].clone())
        for parameter in norm.parameters():
            parameter.requires_grad = False

    @property
    def _first(self) -> Unit:
        return cast("Unit", self.units[0])

    def train(self, mode: bool = True) -> "JointHead":  # noqa: FBT001, FBT002  signature of torch
        """Do nothing to the norms: they never learn statistics."""
        self.training = mode
        return self

    def forward(self, features: Tensor) -> Tensor:
        """Return logits (N, 5) of normalised features (N, C) of the inputs that are alive."""
        first = self._first
        alive, constant = cast("Tensor", self.alive), cast("Tensor", self.constant)
        weight = first.conv.weight[:, :, 0, 0, 0]
        slope = first.slope.weight
        offset = weight[:, ~alive] @ functional.prelu(constant, slope)
        rows = functional.linear(functional.prelu(features, slope), weight[:, alive], offset)
        for unit in list(self.units)[1:]:
            rows = _on_rows(cast("Unit", unit), rows)
        return rows

    def write_to(self, network: DeepMedic) -> None:
        """Put the layers into a network, in place of its own."""
        network.joint.load_state_dict(self.units.state_dict())


def _on_rows(unit: Unit, rows: Tensor) -> Tensor:
    """Return what a 1x1x1 unit makes of rows of voxels (N, C).

    The same as its own forward, as products of matrices: as convolutions they take ten times
    as long to learn on a CPU.
    """
    norm = unit.norm
    normalised = functional.batch_norm(
        rows, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=norm.eps
    )
    active = functional.prelu(normalised, unit.slope.weight)
    mixed = functional.linear(active, unit.conv.weight.flatten(1))
    return mixed + rows if unit.is_residual else mixed
