"""Weights as they are shipped: matrices in half precision, everything else as it is."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

#: Scales, biases and statistics have one axis; they stay in full precision, as the statistics of
#: a batch normalisation may leave the range of half precision.
_MATRIX = 2


def halved(weights: "Mapping[str, Tensor]") -> "dict[str, Tensor]":
    """Return the weights with all matrices and kernels in half precision."""
    import torch

    return {
        name: value.to(torch.float16)
        if value.is_floating_point() and value.ndim >= _MATRIX
        else value
        for name, value in weights.items()
    }
