"""Random variation of training slices: place, turn, size, contrast and noise."""

from collections.abc import Callable

import torch
from torch.nn import functional

from training.classification.recipe import Augmentation


def augment(
    batch: torch.Tensor, augmentation: Augmentation, *, generator: torch.Generator
) -> torch.Tensor:
    """Return a varied copy of prepared slices.

    The region of interest of a patient will be cut around a predicted mask; shift and
    scale stand for what that mask gets wrong, contrast and noise for other scanners.

    Parameters
    ----------
    batch : Tensor of float32, shape (N, 1, S, S)
        Slices from `pipeline.classification.transform`, -1..1.
    augmentation : Augmentation
        Greatest change of each kind.
    generator : torch.Generator
        Source of randomness.

    Returns
    -------
    Tensor of float32, shape (N, 1, S, S)
        Within -1..1.
    """

    def symmetric(limit: float) -> torch.Tensor:
        return (torch.rand(len(batch), generator=generator) * 2 - 1) * limit

    grid = functional.affine_grid(
        _placements(symmetric, augmentation), list(batch.shape), align_corners=False
    )
    moved = functional.grid_sample(
        batch, grid, mode="bilinear", padding_mode="border", align_corners=False
    )
    gain = (1 + symmetric(augmentation.contrast))[:, None, None, None]
    offset = (2 * symmetric(augmentation.brightness))[:, None, None, None]
    level = torch.rand(len(batch), generator=generator)[:, None, None, None]
    noise = torch.randn(batch.shape, generator=generator) * level * (2 * augmentation.noise)
    return (moved * gain + offset + noise).clamp(-1, 1)


def _placements(
    symmetric: Callable[[float], torch.Tensor], augmentation: Augmentation
) -> torch.Tensor:
    """Return one affine matrix per slice in the coordinates of `affine_grid`, (N, 2, 3)."""
    angle = torch.deg2rad(symmetric(augmentation.rotation_deg))
    size = 1 + symmetric(augmentation.scale)
    mirror = torch.where(symmetric(1.0) < 0, -1.0, 1.0) if augmentation.flip else 1.0
    cosine, sine = torch.cos(angle) * size, torch.sin(angle) * size
    rows = (
        torch.stack([cosine * mirror, -sine, 2 * symmetric(augmentation.shift)], dim=1),
        torch.stack([sine * mirror, cosine, 2 * symmetric(augmentation.shift)], dim=1),
    )
    return torch.stack(rows, dim=1)
