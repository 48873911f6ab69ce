"""The training loop of SLEX-Net: resumable to the step, with a log and the best weights."""

import csv
import dataclasses
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from pipeline.segmentation.networks.slex_net import SlexNet
from pipeline.segmentation.sampling import normalise
from training.cohort.case import IGNORED
from training.evaluation.scores import dice
from training.saved_state import save_whole
from training.segmentation.run_result import RunProgress
from training.segmentation.slex.loss import slex_loss
from training.segmentation.slex.recipe import SlexRecipe
from training.segmentation.slex.stacks import Stack, draw_triplet, targets_of

BEST_WEIGHTS, CHECKPOINT, LOG = "best.pt", "checkpoint.pt", "log.csv"

_COLUMNS = ("epoch", "iterations", "minutes", "learning_rate", "loss", "validation_dice")

#: Four halvings in the network.
_MULTIPLE = 16


class SlexTrainer:
    """Holds network, optimiser and position of a training.

    Every random choice is a function of seed, epoch and step, so that a training that was
    interrupted goes on exactly as if it had not been.

    Parameters
    ----------
    recipe : SlexRecipe
        What to train and how.
    training, validation : sequence of Stack
        Disjoint by patient.
    folder : Path
        Receives ``checkpoint.pt``, ``best.pt`` and ``log.csv``.
    device : str
        A torch device.
    clock : callable
        Seconds, rising; for the time limit.

    Raises
    ------
    ValueError
        If there is nothing to learn from, or the folder holds a training of another recipe.
    """

    def __init__(
        self,
        recipe: SlexRecipe,
        training: Sequence[Stack],
        validation: Sequence[Stack],
        *,
        folder: Path,
        device: str = "cpu",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.recipe = recipe
        self.folder = folder
        self._training, self._validation = training, validation
        targets = targets_of(training)
        self._bleeding = [target for target in targets if target.bleeds]
        self._healthy = [target for target in targets if not target.bleeds]
        self._healthy_each = round(len(self._healthy) * recipe.healthy_share)
        if len(self._bleeding) + self._healthy_each == 0:
            raise ValueError("No training case has a slice to learn from")
        self._device = torch.device(device)
        self._clock = clock
        torch.manual_seed(recipe.seed)
        self.network = SlexNet(**recipe.architecture_arguments).to(self._device)
        schedule = recipe.schedule
        self._optimiser = torch.optim.Adam(
            self.network.parameters(),
            lr=schedule.learning_rate,
            betas=schedule.betas,
            weight_decay=schedule.weight_decay,
        )
        self.step = 0
        self.best_dice: float | None = None
        self.best_epoch = 0
        self._losses = [0.0, 0.0]  # sum and count in the current epoch
        self._earlier_seconds = 0.0
        self._started = clock()
        folder.mkdir(parents=True, exist_ok=True)
        if (folder / CHECKPOINT).exists():
            self._resume()

    @property
    def steps_per_epoch(self) -> int:
        """Optimiser steps in an epoch."""
        schedule = self.recipe.schedule
        targets = len(self._bleeding) + self._healthy_each
        return schedule.iterations or -(-targets // schedule.batch_size)

    @property
    def epoch(self) -> int:
        """Epochs finished."""
        return self.step // self.steps_per_epoch

    @property
    def seconds(self) -> float:
        """Time spent in training so far, over all runs."""
        return self._earlier_seconds + self._clock() - self._started

    @property
    def finished_share(self) -> float:
        """How much of the budget is spent, in [0, 1]."""
        schedule = self.recipe.schedule
        share = self.step / (schedule.epochs * self.steps_per_epoch)
        if schedule.limit_minutes is not None:
            share = max(share, self.seconds / 60 / schedule.limit_minutes)
        return min(share, 1.0)

    def run(self, *, on_progress: Callable[[RunProgress], None] = lambda _: None) -> None:
        """Train until the budget is spent, calling back after every step."""
        schedule = self.recipe.schedule
        order: list[tuple[int, int]] = []
        begun = -1
        while self.finished_share < 1:
            if self.epoch != begun:
                begun, order = self.epoch, self._order(self.epoch)
            loss = self._take_step(order)
            self.step += 1
            self._losses = [self._losses[0] + loss, self._losses[1] + 1]
            if self.step % self.steps_per_epoch == 0:
                due = self.epoch % schedule.validate_every == 0
                self._end_epoch(validated=due or self.finished_share == 1)
            elif self.step % schedule.checkpoint_every == 0:
                self._save()
            on_progress(self._progress(loss))
        # The time may end within an epoch.
        if self._losses[1] or not (self.folder / BEST_WEIGHTS).exists():
            self._end_epoch(validated=True)

    def validate(self) -> float | None:
        """Return the mean Dice of held-out scans with hematoma, None without any.

        A scan in which nothing is found counts with 0.
        """
        stacks = [stack for stack in self._validation if (stack.label_zyx == 1).any()]
        values = [
            found
            for stack in stacks[: self.recipe.schedule.validation_limit]
            if (found := self._dice_of(stack)) is not None
        ]
        return float(np.mean(values)) if values else None

    def _order(self, epoch: int) -> list[tuple[int, int]]:
        """Return stack and slice of the targets of an epoch, as many as its steps take."""
        rng = np.random.default_rng([self.recipe.seed, 0, epoch])
        healthy = rng.permutation(len(self._healthy))[: self._healthy_each]
        targets = [*self._bleeding, *(self._healthy[index] for index in healthy)]
        wanted = self.steps_per_epoch * self.recipe.schedule.batch_size
        if self.recipe.schedule.iterations is None:
            wanted = len(targets)
        shuffled = rng.permutation(len(targets))
        return [
            (targets[index].stack, targets[index].place) for index in np.resize(shuffled, wanted)
        ]

    def _take_step(self, order: Sequence[tuple[int, int]]) -> float:
        schedule = self.recipe.schedule
        first = self.step % self.steps_per_epoch * schedule.batch_size
        rng = np.random.default_rng([self.recipe.seed, 1, self.step])
        drawn = [
            draw_triplet(self._training[stack], place, self.recipe, rng=rng)
            for stack, place in order[first : first + schedule.batch_size]
        ]
        images = torch.from_numpy(np.stack([image for image, _ in drawn])).to(self._device)
        labels = torch.from_numpy(np.stack([label for _, label in drawn])).to(self._device)
        for group in self._optimiser.param_groups:
            group["lr"] = self._learning_rate
        self.network.train()
        output = self.network.segment_triplets(images)
        loss = slex_loss(output, labels, class_weights=self.recipe.class_weights)
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it unannotated
        self._optimiser.step()
        return float(loss.detach())

    @property
    def _learning_rate(self) -> float:
        schedule = self.recipe.schedule
        return schedule.learning_rate * schedule.decay ** (self.epoch // schedule.decay_epochs)

    def _end_epoch(self, *, validated: bool) -> None:
        score = self.validate() if validated else None
        better = score is not None and (self.best_dice is None or score > self.best_dice)
        if better or self.best_dice is None:
            self.best_dice, self.best_epoch = score, self.epoch
            save_whole(self.network.state_dict(), self.folder / BEST_WEIGHTS)
        self._log(score)
        self._losses = [0.0, 0.0]
        self._save()

    @torch.inference_mode()
    def _dice_of(self, stack: Stack) -> float | None:
        """Return Dice at a probability of one half over known voxels."""
        self.network.eval()
        image = torch.from_numpy(normalise(stack.hu_zyx.astype(np.float32), self.recipe.intensity))
        rows, columns = image.shape[1:]
        padding = (0, -columns % _MULTIPLE, 0, -rows % _MULTIPLE)
        padded = functional.pad(image, padding, value=float(image.min())).to(self._device)
        logits = self.network(padded[None, None])[0, :, :, :rows, :columns]
        found = (logits[1] >= logits[0]).cpu().numpy() & (stack.label_zyx != IGNORED)
        return dice(found, stack.label_zyx == 1)

    def _progress(self, loss: float) -> RunProgress:
        return RunProgress(
            share=self.finished_share,
            epoch=self.epoch,
            epochs=self.recipe.schedule.epochs,
            loss=loss,
            pseudo_dice=self.best_dice,
        )

    def _log(self, score: float | None) -> None:
        path = self.folder / LOG
        new = not path.exists()
        mean = self._losses[0] / self._losses[1] if self._losses[1] else float("nan")
        with path.open("a", newline="") as stream:
            writer = csv.writer(stream)
            if new:
                writer.writerow(_COLUMNS)
            writer.writerow(
                [
                    self.epoch,
                    self.step,
                    f"{self.seconds / 60:.2f}",
                    f"{self._optimiser.param_groups[0]['lr']:.2e}",
                    f"{mean:.5f}",
                    "" if score is None else f"{score:.4f}",
                ]
            )

    def _save(self) -> None:
        """Write everything that a later run needs to go on."""
        state = {
            "network": self.network.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
            "losses": self._losses,
            "best_dice": self.best_dice,
            "best_epoch": self.best_epoch,
            "recipe": dataclasses.asdict(self.recipe),
        }
        save_whole(state, self.folder / CHECKPOINT)

    def _resume(self) -> None:
        path = self.folder / CHECKPOINT
        state = torch.load(path, map_location=self._device, weights_only=True)
        own = dataclasses.asdict(self.recipe)
        # A schedule may be prolonged; whatever else differs makes it another training.
        changed = [
            key for key in own if key != "schedule" and state["recipe"].get(key) != own[key]
        ]
        if changed:
            raise ValueError(f"{path} is of another recipe: {', '.join(changed)} differ")
        self.network.load_state_dict(state["network"])
        self._optimiser.load_state_dict(state["optimiser"])
        self.step = int(state["step"])
        self.best_dice, self.best_epoch = state["best_dice"], int(state["best_epoch"])
        self._losses = list(state["losses"])
        self._earlier_seconds = float(state["seconds"])
