"""The loss of segmentation: cross-entropy and soft Dice over voxels whose truth is known."""

import torch
from torch import Tensor
from torch.nn import functional

from training.cohort.case import IGNORED

#: Share of voxels that enter the cross-entropy, the worst ones: a head is mostly air and bone,
#: and the mean over all voxels hardly feels a false bleed in a neck muscle.
_HARD_SHARE = 0.05

#: Size of a bleed below which the Dice term weakens, mL. Patches without hematoma push false
#: voxels down with a force of about one over this size.
_SMOOTH_ML = 1.25


def dice_and_cross_entropy(logits: Tensor, labels: Tensor, *, voxel_ml: float) -> Tensor:
    """Return the loss of two-class logits (N, 2, Z, Y, X) against labels (N, Z, Y, X).

    `voxel_ml` is the volume of a voxel: what is a small bleed does not depend on the grid. The
    Dice term is computed over the whole batch, so that a batch without hematoma adds none
    beyond its false positives.
    """
    known = labels != IGNORED
    target = torch.where(known, labels, 0).long()
    per_voxel = functional.cross_entropy(
        logits, torch.where(known, target, -100), ignore_index=-100, reduction="none"
    ).flatten()
    hardest = torch.topk(per_voxel, max(1, int(_HARD_SHARE * per_voxel.numel())), sorted=False)
    probability = torch.softmax(logits, dim=1)[:, 1] * known
    overlap = (probability * target).sum()
    total = probability.sum() + target.sum()
    smooth = _SMOOTH_ML / voxel_ml
    dice = (2 * overlap + smooth) / (total + smooth)
    return hardest.values.mean() + 1 - dice
