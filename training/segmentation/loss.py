"""The loss of segmentation: cross-entropy and soft Dice over the voxels whose truth is known."""

import torch
from torch import Tensor
from torch.nn import functional

from training.cohort.case import IGNORED


def dice_and_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the loss of two-class logits (N, 2, Z, Y, X) against labels (N, Z, Y, X).

    The Dice term is computed over the whole batch, so that a batch without hematoma adds none
    beyond its false positives.
    """
    known = labels != IGNORED
    target = torch.where(known, labels, 0).long()
    cross_entropy = functional.cross_entropy(
        logits, torch.where(known, target, -100), ignore_index=-100
    )
    probability = torch.softmax(logits, dim=1)[:, 1] * known
    overlap = (probability * target).sum()
    total = probability.sum() + target.sum()
    smooth = 50.0  # voxels; keeps empty patches from swinging the gradient
    return cross_entropy + 1 - (2 * overlap + smooth) / (total + smooth)
