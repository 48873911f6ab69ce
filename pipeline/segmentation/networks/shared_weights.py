"""Weights that a network knows under several names, as those of nnU-Net do.

Its decoder holds the encoder, and each unit holds its convolution twice. A bundle keeps every
weight once, under the first of its names.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor, nn


def distinct_weights(network: "nn.Module") -> "dict[str, Tensor]":
    """Return a network's weights, each under the first of its names."""
    first = _first_names(network)
    return {name: value for name, value in network.state_dict().items() if first[name] == name}


def load_weights(network: "nn.Module", weights: "Mapping[str, Tensor]") -> None:
    """Load weights that may lack further names of weights that are there.

    Raises
    ------
    RuntimeError
        If a weight is missing, unknown or of another shape; PyTorch's message names it.
    """
    complete = dict(weights)
    for name, first in _first_names(network).items():
        if name not in complete and first in complete:
            complete[name] = complete[first]
    network.load_state_dict(complete)


def _first_names(network: "nn.Module") -> dict[str, str]:
    """Return, for each name of a weight, the first name of the same weight."""
    seen: dict[int, str] = {}
    # keep_vars: the same parameter comes as the same object under all its names.
    state = network.state_dict(keep_vars=True)
    return {name: seen.setdefault(id(value), name) for name, value in state.items()}
