"""The three parts of the loss, and where their gradients go."""

import dataclasses

import pytest
import torch

from pipeline.growth.warping import integrate, warp
from training.growth.losses import (
    LossParts,
    LossWeights,
    likeness_loss,
    overlap_loss,
    smoothness_loss,
)


def masks(*rows: list[float]) -> torch.Tensor:
    return torch.tensor(rows).view(len(rows), 1, 1, 1, -1)


def test_the_overlap_is_the_mean_dice_of_the_batch():
    """2*1/(2+1) = 2/3 and 2*0/(1+1) = 0: the mean Dice is 1/3, the loss 2/3."""
    loss = overlap_loss(masks([1, 1, 0.0], [1, 0, 0.0]), masks([1, 0, 0.0], [0, 1, 0.0]))

    assert float(loss) == pytest.approx(2 / 3, abs=1e-4)


def test_two_empty_masks_overlap():
    """A patch without any hematoma has nothing to learn from its masks."""
    assert float(overlap_loss(masks([0.0, 0.0]), masks([0.0, 0.0]))) == 0.0


def test_likeness_is_the_mean_absolute_difference():
    """(1 + 3) / 2 = 2."""
    assert float(likeness_loss(torch.tensor([1.0, 5.0]), torch.tensor([2.0, 2.0]))) == 2.0


def test_smoothness_is_the_mean_squared_step():
    """A field that rises by 3 along x in one of three channels: 9/3 along x, a third of it."""
    field = torch.zeros(1, 3, 4, 4, 4)
    field[:, 0] = 3 * torch.arange(4.0)

    assert float(smoothness_loss(field)) == pytest.approx(9 / 3 / 3)


@pytest.mark.parametrize("is_integrated", [False, True])
def test_all_three_parts_pull_at_the_field(is_integrated):
    """The gradient of the whole loss is that of finite differences, through the warp as well."""
    generator = torch.Generator().manual_seed(1)
    scan, target = (torch.rand(1, 2, 4, 4, 4, generator=generator).double() for _ in range(2))
    raw = (0.3 * torch.randn(1, 3, 4, 4, 4, generator=generator).double()).requires_grad_()

    def loss(field: torch.Tensor) -> torch.Tensor:
        moved = warp(scan, integrate(field, steps=2) if is_integrated else field)
        parts = LossParts(
            overlap=overlap_loss(moved[:, 1:], target[:, 1:]),
            likeness=likeness_loss(moved[:, :1], target[:, :1]),
            smoothness=smoothness_loss(field),
        )
        return parts.total(LossWeights())

    assert torch.autograd.gradcheck(loss, raw)


def test_each_part_alone_has_a_gradient_unless_it_is_detached():
    """As released, the smoothness is a number without a pull; by default everything pulls."""
    field = torch.linspace(0, 1, 3 * 27).view(1, 3, 3, 3, 3).requires_grad_()
    nothing = torch.zeros(())
    parts = LossParts(overlap=nothing, likeness=nothing, smoothness=smoothness_loss(field))

    pulling = parts.total(LossWeights())
    detached = parts.total(LossWeights(smoothness_is_detached=True))

    assert pulling.requires_grad
    assert not detached.requires_grad
    assert pulling.item() == detached.item() > 0
    assert parts.total(LossWeights(smoothness=0.5)).item() == pytest.approx(pulling.item() / 2)


def test_a_weight_cannot_be_negative():
    """A loss that rewards roughness is a mistake in the recipe."""
    with pytest.raises(ValueError, match="smoothness"):
        dataclasses.replace(LossWeights(), smoothness=-1.0)
