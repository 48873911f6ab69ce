"""The training loop of the forecast: best weights, early stopping, resumable to the step."""

import copy
import dataclasses
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pipeline.growth.network import GrowthUNet
from pipeline.growth.warping import warp
from training.growth.arms import PLANS, Arm
from training.growth.learning_log import EpochLine, write_log
from training.growth.losses import LossParts, likeness_loss, overlap_loss, smoothness_loss
from training.growth.pair import GrowthPair
from training.growth.patches import PatchPlace, cut_patch, draw_places
from training.growth.recipe import GrowthRecipe
from training.growth.turning import turned
from training.saved_state import load_own, save_whole

CHECKPOINT = "checkpoint.pt"

#: Marks what a validation loss cannot be better than yet.
_NEVER = math.inf


@dataclass(frozen=True, slots=True, kw_only=True)
class LearningProgress:
    """Where a training stands: epochs finished of those allowed, and the share of the current."""

    epoch: int
    epochs: int
    share: float


class GrowthTrainer:
    """Holds network, optimiser and position of one training.

    Every random choice is a function of seed, epoch and place in the epoch, so that a training
    that was interrupted goes on exactly as if it had not been.

    Parameters
    ----------
    recipe : GrowthRecipe
        What to train and how.
    arm : Arm
        Which way.
    learning, deciding : sequence of GrowthPair
        Pairs whose patches the weights are fitted to, and pairs that stop the training.
    folder : Path
        Receives checkpoint and log.
    device : torch.device
        Where the network learns.
    clock : callable
        Seconds, rising.

    Raises
    ------
    ValueError
        If a deciding pair is synthetic or of a learning patient, a synthetic pair enters an arm
        without synthesis, or the folder holds another training.
    """

    def __init__(
        self,
        recipe: GrowthRecipe,
        arm: Arm,
        learning: Sequence[GrowthPair],
        deciding: Sequence[GrowthPair],
        *,
        folder: Path,
        device: torch.device,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        _check_parts(arm, learning, deciding)
        self.recipe, self.arm, self.folder = recipe, arm, folder
        self._learning, self._deciding = list(learning), list(deciding)
        self._device, self._clock = device, clock
        self._weights = dataclasses.replace(
            recipe.loss,
            smoothness_is_detached=recipe.loss.smoothness_is_detached
            or PLANS[arm].smoothness_is_detached,
        )
        torch.manual_seed(recipe.seed)
        self.network: GrowthUNet = recipe.network(arm).to(device)
        self._optimiser = torch.optim.Adam(
            self.network.parameters(), lr=recipe.course.learning_rate
        )
        sampling = recipe.sampling
        self._places, self._judged = (
            draw_places(pairs, patches=count, ring_share=sampling.ring_share, seed=recipe.seed)
            for pairs, count in (
                (self._learning, sampling.patches_per_case),
                (self._deciding, sampling.validation_patches_per_case),
            )
        )
        self.lines: list[EpochLine] = []
        self.best = copy.deepcopy(self.network.state_dict())
        self.best_loss, self.best_epoch = _NEVER, 0
        self.step_in_epoch = 0
        self._loss_sum = 0.0
        self._earlier_seconds, self._started = 0.0, clock()
        folder.mkdir(parents=True, exist_ok=True)
        if (folder / CHECKPOINT).exists():
            self._resume()

    @property
    def epoch(self) -> int:
        """Epochs finished."""
        return len(self.lines)

    @property
    def steps_per_epoch(self) -> int:
        """Optimiser steps in an epoch; a last batch that is not full counts."""
        most = self.recipe.sampling.patches_per_epoch or len(self._places)
        return -(-min(most, len(self._places)) // self.recipe.course.batch_size)

    @property
    def is_finished(self) -> bool:
        """Whether the epochs are over or the validation loss has stopped falling."""
        course = self.recipe.course
        return self.epoch >= course.epochs or self.epoch - self.best_epoch >= course.patience

    @property
    def seconds(self) -> float:
        """Time spent so far, over all runs."""
        return self._earlier_seconds + self._clock() - self._started

    def run(self, *, on_progress: Callable[[LearningProgress], None] = lambda _: None) -> None:
        """Train until it is finished, calling back after every step."""
        while not self.is_finished:
            order = self._order()
            steps = self.steps_per_epoch
            while self.step_in_epoch < steps:
                self._loss_sum += self._take_step(order)
                self.step_in_epoch += 1
                if self.step_in_epoch % self.recipe.course.checkpoint_every == 0:
                    self._save()
                on_progress(self._progress(self.step_in_epoch / steps))
            self._end_epoch()
            on_progress(self._progress(0.0))

    def _progress(self, share: float) -> LearningProgress:
        return LearningProgress(epoch=self.epoch, epochs=self.recipe.course.epochs, share=share)

    def _order(self) -> list[PatchPlace]:
        """Return the patches of the current epoch in the order in which they are seen."""
        rng = np.random.default_rng([self.recipe.seed, self.epoch])
        most = self.recipe.sampling.patches_per_epoch or len(self._places)
        return [self._places[index] for index in rng.permutation(len(self._places))[:most]]

    def _take_step(self, order: Sequence[PatchPlace]) -> float:
        size = self.recipe.course.batch_size
        first = self.step_in_epoch * size
        patches = torch.stack(
            [
                self._patch(place, first + offset)
                for offset, place in enumerate(order[first : first + size])
            ]
        )
        self.network.train()
        loss = self._parts(patches).total(self._weights)
        if not torch.isfinite(loss):
            raise FloatingPointError(
                f"The loss is {float(loss.detach())} in epoch {self.epoch + 1}: the learning rate "
                "is too high"
            )
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it unannotated
        self._optimiser.step()
        return float(loss.detach())

    def _patch(self, place: PatchPlace, position: int) -> Tensor:
        recipe = self.recipe
        pair = self._learning[place.pair]
        patch = cut_patch(pair, place.centre_zyx, recipe.patch_size_zyx, recipe.intensity)
        if not PLANS[self.arm].augmented:
            return patch
        rng = np.random.default_rng([recipe.seed, 1, self.epoch, position])
        return turned(patch, recipe.turning, rng, spacing_zyx_mm=pair.spacing_zyx_mm)

    def _parts(self, patches: Tensor) -> LossParts:
        patches = patches.to(self._device)
        raw = self.network(patches[:, :2])
        moved = warp(patches[:, :2], self.network.displacement(raw))
        return LossParts(
            overlap=overlap_loss(moved[:, 1:], patches[:, 3:]),
            likeness=likeness_loss(moved[:, :1], patches[:, 2:3]),
            smoothness=smoothness_loss(raw),
        )

    def _end_epoch(self) -> None:
        """Judge the weights on the deciding patients, keep the best, write log and checkpoint."""
        parts = self._validate()
        total = float(parts.total(self._weights))
        line = EpochLine(
            epoch=self.epoch + 1,
            steps=(self.epoch + 1) * self.steps_per_epoch,
            minutes=self.seconds / 60,
            training_loss=self._loss_sum / self.steps_per_epoch,
            validation_loss=total,
            overlap=float(parts.overlap),
            likeness=float(parts.likeness),
            smoothness=float(parts.smoothness),
        )
        self.lines.append(line)
        if total < self.best_loss:
            self.best_loss, self.best_epoch = total, line.epoch
            self.best = {
                name: value.detach().cpu().clone()
                for name, value in self.network.state_dict().items()
            }
        self.step_in_epoch, self._loss_sum = 0, 0.0
        self._save()
        write_log(self.folder, self.lines)

    @torch.no_grad()
    def _validate(self) -> LossParts:
        """Return the mean of each part of the loss over the validation patches."""
        self.network.eval()
        recipe, size = self.recipe, self.recipe.course.batch_size
        sums = torch.zeros(3, dtype=torch.float64)
        for first in range(0, len(self._judged), size):
            chosen = self._judged[first : first + size]
            patches = torch.stack(
                [
                    cut_patch(
                        self._deciding[place.pair],
                        place.centre_zyx,
                        recipe.patch_size_zyx,
                        recipe.intensity,
                    )
                    for place in chosen
                ]
            )
            parts = self._parts(patches)
            values = torch.stack([parts.overlap, parts.likeness, parts.smoothness])
            sums += values.double().cpu() * len(chosen)
        overlap, likeness, smoothness = sums / len(self._judged)
        return LossParts(overlap=overlap, likeness=likeness, smoothness=smoothness)

    def _identity(self) -> dict[str, Any]:
        """Return what must be equal for a training to be the same."""
        recipe = dataclasses.asdict(self.recipe)
        # Another rhythm of saving is still the same training.
        del recipe["course"]["checkpoint_every"]
        return {
            "arm": self.arm.value,
            "recipe": recipe,
            "patients": [
                [(pair.patient_id, pair.variant) for pair in pairs]
                for pairs in (self._learning, self._deciding)
            ],
        }

    def _save(self) -> None:
        state = {
            "network": self.network.state_dict(),
            "best": self.best,
            "optimiser": self._optimiser.state_dict(),
            "lines": [dataclasses.asdict(line) for line in self.lines],
            "best_loss": self.best_loss,
            "best_epoch": self.best_epoch,
            "step_in_epoch": self.step_in_epoch,
            "loss_sum": self._loss_sum,
            "seconds": self.seconds,
            "identity": self._identity(),
        }
        save_whole(state, self.folder / CHECKPOINT)

    def _resume(self) -> None:
        state = load_own(self.folder / CHECKPOINT, self._identity(), self._device)
        self.network.load_state_dict(state["network"])
        self.best = {name: value.cpu() for name, value in state["best"].items()}
        self._optimiser.load_state_dict(state["optimiser"])
        self.lines = [EpochLine(**line) for line in state["lines"]]
        self.best_loss, self.best_epoch = float(state["best_loss"]), int(state["best_epoch"])
        self.step_in_epoch = int(state["step_in_epoch"])
        self._loss_sum = float(state["loss_sum"])
        self._earlier_seconds = float(state["seconds"])


def _check_parts(arm: Arm, learning: Sequence[GrowthPair], deciding: Sequence[GrowthPair]) -> None:
    """Refuse made baselines wherever they would be judged on, and patients on two sides."""
    for pair in deciding:
        if pair.is_synthetic:
            raise ValueError(
                f"Pair {pair.patient_id} is synthetic: such pairs are for training alone"
            )
    if not PLANS[arm].synthetic and any(pair.is_synthetic for pair in learning):
        raise ValueError(f"Arm {arm} does not learn from synthetic pairs")
    both = {pair.patient_id for pair in learning} & {pair.patient_id for pair in deciding}
    if both:
        raise ValueError(f"Patient {min(both)} is learnt from and decides")
    if not learning or not deciding:
        raise ValueError("A training needs patients to learn from and to decide")
