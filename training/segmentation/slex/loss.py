"""The loss of SLEX-Net: cross-entropy of the final opinion and of both paths."""

import torch
from torch import Tensor
from torch.nn import functional

from pipeline.segmentation.networks.slex_net import SlexOutput
from training.cohort.case import IGNORED


def slex_loss(output: SlexOutput, labels: Tensor, *, class_weights: tuple[float, float]) -> Tensor:
    """Return the summed loss of target slices against labels (N, Y, X).

    The backbone's own opinion is not supervised directly, as in the published code.
    """
    opinions = (output.final, output.forward_path, output.backward_path)
    losses = [weighted_cross_entropy(logits, labels, class_weights) for logits in opinions]
    return torch.stack(losses).sum()


def weighted_cross_entropy(
    logits: Tensor, labels: Tensor, class_weights: tuple[float, float]
) -> Tensor:
    """Return the mean over known pixels of the class-weighted cross-entropy.

    Divided by the number of pixels, not by the sum of their weights as PyTorch would: a slice
    of pure background costs a tenth.
    """
    known = labels != IGNORED
    target = torch.where(known, labels, 0).long()
    weights = logits.new_tensor(class_weights)
    per_pixel = functional.cross_entropy(logits, target, weight=weights, reduction="none")
    return (per_pixel * known).sum() / known.sum().clamp_min(1)
