"""The fit: cross-entropy and Dice of hematoma, while the other classes stay what they were."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from torch.nn.utils import clip_grad_norm_

from training.cohort.case import IGNORED
from training.segmentation.refit.joint_head import JointHead
from training.segmentation.refit.recipe import RefitRecipe
from training.segmentation.refit.voxels import Voxels

#: Share of the steps in which the learning rate rises.
_WARM_UP = 0.05

#: Spread of the noise on gain and offset of each feature, as scanners differ.
_FEATURE_NOISE = 0.03

#: Added to the published shares: nothing is impossible.
_LEAST_SHARE = 1e-4


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Batch:
    features: Tensor
    is_hematoma: Tensor
    weight: Tensor
    shares: Tensor


def fit(
    head: JointHead,
    scans: Sequence[Voxels],
    recipe: RefitRecipe,
    *,
    on_step: Callable[[int, float], None],
) -> None:
    """Train the layers in place; they end as the averaged weights, mixed with the published ones.

    Parameters
    ----------
    head : JointHead
        With the published weights.
    scans : sequence of Voxels
        Of training patients.
    recipe : RefitRecipe
        How.
    on_step : callable
        Told the number of steps done and the loss of the last one.

    Raises
    ------
    ValueError
        If there is no scan.
    """
    if not scans:
        raise ValueError("No scan to learn from")
    generator = torch.Generator().manual_seed(recipe.seed)
    draw = _Draw(scans, recipe)
    published = copy.deepcopy(head.state_dict())
    average = copy.deepcopy(published)
    learnt = [parameter for parameter in head.parameters() if parameter.requires_grad]
    optimiser = torch.optim.AdamW(
        learnt, lr=recipe.learning_rate, weight_decay=recipe.weight_decay
    )
    rate = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, recipe.learning_rate, total_steps=recipe.steps, pct_start=_WARM_UP
    )
    for step in range(recipe.steps):
        loss = _loss(head, draw.batch(generator), recipe)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch has no types here
        clip_grad_norm_(learnt, 1.0)
        optimiser.step()
        rate.step()
        _mix(average, head.state_dict(), share=1 - recipe.ema_decay)
        on_step(step + 1, float(loss.detach()))
    _mix(average, published, share=recipe.kept_share)
    head.load_state_dict(average)


class _Draw:
    """Draws voxels: sources as the recipe weighs them, scans of a source alike."""

    def __init__(self, scans: Sequence[Voxels], recipe: RefitRecipe) -> None:
        self._scans = scans
        self._known = [np.flatnonzero(scan.label != IGNORED) for scan in scans]
        self._rng = np.random.default_rng(recipe.seed)
        self._count = recipe.scans_per_step
        self._each = recipe.voxels_per_step // recipe.scans_per_step
        sources = [scan.source for scan in scans]
        chance = np.array(
            [recipe.weights.get(name, 1.0) / sources.count(name) for name in sources]
        )
        self._chance = chance / chance.sum()

    def batch(self, generator: torch.Generator) -> _Batch:
        picked = self._rng.choice(len(self._scans), self._count, p=self._chance)
        parts = [self._of_scan(int(number)) for number in picked]
        features, label, weight, shares = (
            torch.from_numpy(np.concatenate(part)) for part in zip(*parts, strict=True)
        )
        width = (1, features.shape[1])
        gain = 1 + _FEATURE_NOISE * torch.randn(width, generator=generator)
        offset = _FEATURE_NOISE * torch.randn(width, generator=generator)
        return _Batch(
            features=features * gain + offset, is_hematoma=label, weight=weight, shares=shares
        )

    def _of_scan(self, number: int) -> Sequence[NDArray[np.float32]]:
        scan, known = self._scans[number], self._known[number]
        index = known[self._rng.integers(0, known.size, self._each)]
        # Between every voxel alike and each kind alike: hematoma stays rare, but not that rare.
        weight = np.sqrt(scan.weight[index])
        return (
            scan.features[index].astype(np.float32),
            (scan.label[index] == 1).astype(np.float32),
            weight / weight.mean(),
            scan.shares[index].astype(np.float32),
        )


def _loss(head: JointHead, batch: _Batch, recipe: RefitRecipe) -> Tensor:
    logits = head(batch.features)
    others = torch.cat([logits[:, :1], logits[:, 2:]], dim=1)
    against = logits[:, 1] - torch.logsumexp(others, dim=1)
    truth, weight = batch.is_hematoma, batch.weight
    entropy = functional.binary_cross_entropy_with_logits(against, truth, weight=weight)
    found = torch.sigmoid(against)
    overlap = 2 * (weight * found * truth).sum() + 1
    dice = overlap / ((weight * found).sum() + (weight * truth).sum() + 1)
    taught = torch.cat([batch.shares[:, :1], batch.shares[:, 2:]], dim=1) + _LEAST_SHARE
    taught = taught / taught.sum(dim=1, keepdim=True)
    forgetting = -(taught * torch.log_softmax(others, dim=1)).sum(dim=1)
    kept = (weight * (1 - truth) * forgetting).mean()
    return entropy + recipe.dice_share * (1 - dice) + recipe.others_share * kept


def _mix(average: dict[str, Tensor], other: dict[str, Tensor], *, share: float) -> None:
    """Move floating-point entries towards others by a share."""
    with torch.no_grad():
        for name, value in average.items():
            if value.is_floating_point():
                value.lerp_(other[name], share)
