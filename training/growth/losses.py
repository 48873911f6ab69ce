"""What the growth network is fitted by: overlap of the masks, likeness of the scans, smoothness.

Abramova et al. 2024, section 2.4.1: L = L_seg + L_sim + L_smooth.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

#: Keeps the overlap of two empty masks defined.
_EPSILON = 1e-5


@dataclass(frozen=True, slots=True, kw_only=True)
class LossWeights:
    """How much each part counts; the paper adds them as they are.

    Attributes
    ----------
    overlap, likeness, smoothness : float
        Of the Dice loss, the L1 between scans, and the gradient of the field.
    smoothness_is_detached : bool
        The smoothness only shows up in the number, not in the gradient: what the released code
        does.

    Raises
    ------
    ValueError
        If a weight is negative.
    """

    overlap: float = 1.0
    likeness: float = 1.0
    smoothness: float = 1.0
    smoothness_is_detached: bool = False

    def __post_init__(self) -> None:
        for name in ("overlap", "likeness", "smoothness"):
            if getattr(self, name) < 0:
                raise ValueError(f"Weight {name} must not be negative, got {getattr(self, name)}")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LossParts:
    """The three parts for one batch, not weighted, each a scalar tensor."""

    overlap: Tensor
    likeness: Tensor
    smoothness: Tensor

    def total(self, weights: LossWeights) -> Tensor:
        """Return the weighted sum."""
        smoothness = self.smoothness
        if weights.smoothness_is_detached:
            smoothness = smoothness.detach()
        return (
            weights.overlap * self.overlap
            + weights.likeness * self.likeness
            + weights.smoothness * smoothness
        )


def overlap_loss(predicted: Tensor, truth: Tensor) -> Tensor:
    """Return one minus the soft Dice of masks, mean over the batch; 0 where both are empty.

    Parameters
    ----------
    predicted, truth : Tensor, shape (N, 1, Z, Y, X)
        In [0, 1].
    """
    axes = tuple(range(1, predicted.ndim))
    both = (predicted * truth).sum(axes)
    sizes = predicted.sum(axes) + truth.sum(axes)
    return 1 - ((2 * both + _EPSILON) / (sizes + _EPSILON)).mean()


def likeness_loss(predicted: Tensor, truth: Tensor) -> Tensor:
    """Return the mean absolute difference of scans."""
    return (predicted - truth).abs().mean()


def smoothness_loss(field: Tensor) -> Tensor:
    """Return the mean squared forward difference of a field, averaged over the three axes.

    Parameters
    ----------
    field : Tensor, shape (N, 3, Z, Y, X)
        Displacement or velocity in voxels.
    """
    steps = [torch.diff(field, dim=axis).square().mean() for axis in (2, 3, 4)]
    return torch.stack(steps).mean()
