"""The training loop of the diffusion: resumable to the step, with a log and sample sheets."""

import copy
import csv
import dataclasses
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from training.saved_state import load_own, save_whole
from training.synthesis.learning_slices import LearningSlices
from training.synthesis.recipe import SynthesisRecipe
from training.synthesis.ukan import UKanDiffusion

CHECKPOINT, LOG = "checkpoint.pt", "log.csv"

_COLUMNS = ("epoch", "steps", "minutes", "learning_rate", "loss")

#: Divisor of the summed loss of the released code.
_RELEASED_DIVISOR = 1000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DiffusionProgress:
    """Where a training stands: epochs finished, share of the budget, loss of the last step."""

    epoch: int
    epochs: int
    share: float
    loss: float


class DiffusionTrainer:
    """Holds network, average, optimiser and position of a training.

    Every random choice is a function of seed, epoch and step, so that a training that was
    interrupted goes on exactly as if it had not been.

    Parameters
    ----------
    recipe : SynthesisRecipe
        What to train and how.
    slices : LearningSlices
        Of training patients.
    folder : Path
        Receives ``checkpoint.pt`` and ``log.csv``.
    device : torch.device
        Where the network learns.
    clock : callable
        Seconds, rising; for the time limit.

    Raises
    ------
    ValueError
        If the folder holds a training of another recipe or of other patients, or the image
        size cannot be halved as often as the network does.
    """

    def __init__(
        self,
        recipe: SynthesisRecipe,
        slices: LearningSlices,
        *,
        folder: Path,
        device: torch.device,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.recipe, self.folder = recipe, folder
        self._slices, self._device, self._clock = slices, device, clock
        torch.manual_seed(recipe.seed)
        self.network = UKanDiffusion(**recipe.network_arguments).to(device)
        if recipe.image_size % self.network.size_multiple:
            raise ValueError(
                f"image_size must be a multiple of {self.network.size_multiple}, "
                f"got {recipe.image_size}"
            )
        self._channels = self.network.image_channels
        self.average = copy.deepcopy(self.network).eval()
        course = recipe.course
        self._optimiser = torch.optim.AdamW(
            self.network.parameters(), lr=course.learning_rate, weight_decay=course.weight_decay
        )
        self.step = 0
        self._losses = [0.0, 0.0]  # sum and count in the current epoch
        self._earlier_seconds = 0.0
        self._started = clock()
        folder.mkdir(parents=True, exist_ok=True)
        if (folder / CHECKPOINT).exists():
            self._resume()

    @property
    def steps_per_epoch(self) -> int:
        """Optimiser steps in an epoch; the last batch is filled up from the first."""
        return max(-(-len(self._slices) // self._batch), self.recipe.course.fewest_steps)

    @property
    def epoch(self) -> int:
        """Epochs finished."""
        return self.step // self.steps_per_epoch

    @property
    def seconds(self) -> float:
        """Time spent so far, over all runs."""
        return self._earlier_seconds + self._clock() - self._started

    @property
    def finished_share(self) -> float:
        """How much of the budget is spent, in [0, 1]."""
        course = self.recipe.course
        share = self.step / (course.epochs * self.steps_per_epoch)
        if course.limit_minutes is not None:
            share = max(share, self.seconds / 60 / course.limit_minutes)
        return min(share, 1.0)

    def run(
        self,
        *,
        on_progress: Callable[[DiffusionProgress], None] = lambda _: None,
        on_sheet: Callable[[UKanDiffusion, int], None] = lambda *_: None,
    ) -> None:
        """Train until the budget is spent, calling back after every step and for every sheet."""
        course = self.recipe.course
        order, begun = np.empty(0, dtype=np.int64), -1
        while self.finished_share < 1:
            if self.epoch != begun:
                begun, order = self.epoch, self._order(self.epoch)
            loss = self._take_step(order)
            self.step += 1
            self._losses = [self._losses[0] + loss, self._losses[1] + 1]
            if self.step % self.steps_per_epoch == 0:
                self._log()
                # Saved before the sheet: a sheet that is lost is drawn again, a step is not.
                self._save()
                if self.epoch % course.sheet_every == 0 and self.finished_share < 1:
                    on_sheet(self.average, self.epoch)
            elif self.step % course.checkpoint_every == 0:
                self._save()
            on_progress(
                DiffusionProgress(
                    epoch=self.epoch, epochs=course.epochs, share=self.finished_share, loss=loss
                )
            )
        if self._losses[1]:  # the time may end within an epoch
            self._log()
            self._save()
        on_sheet(self.average, self.epoch)

    @property
    def _batch(self) -> int:
        return min(self.recipe.course.batch_size, len(self._slices))

    def _order(self, epoch: int) -> "np.ndarray[Any, np.dtype[np.int64]]":
        shuffled = np.random.default_rng([self.recipe.seed, epoch]).permutation(len(self._slices))
        return np.resize(shuffled, self.steps_per_epoch * self._batch)

    def _take_step(self, order: "np.ndarray[Any, np.dtype[np.int64]]") -> float:
        course = self.recipe.course
        first = self.step % self.steps_per_epoch * self._batch
        chosen = torch.from_numpy(order[first : first + self._batch])
        for group in self._optimiser.param_groups:
            group["lr"] = self.learning_rate()
        self.network.train()
        devices = [self._device] if self._device.type == "cuda" else []
        seed = np.random.SeedSequence([self.recipe.seed, 1, self.step]).generate_state(1)[0]
        with torch.random.fork_rng(devices):
            # Dropout draws from the global generator, which is therefore set for each step.
            torch.manual_seed(int(seed))
            loss = self._loss(chosen)
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it unannotated
        nn.utils.clip_grad_norm_(self.network.parameters(), course.gradient_clip)
        self._optimiser.step()
        self._update_average()
        return float(loss.detach())

    def _loss(self, chosen: Tensor) -> Tensor:
        recipe = self.recipe
        clean = self._slices.images[chosen].expand(-1, self._channels, -1, -1)
        for wanted, axis in ((recipe.flip_left_right, -1), (recipe.flip_up_down, -2)):
            if wanted:
                mirrored = torch.rand(len(clean), 1, 1, 1) < 1 / 2
                clean = torch.where(mirrored, clean.flip(axis), clean)
        times = torch.randint(recipe.noise.steps, [len(clean)])
        noise = torch.randn(clean.shape)
        noisy = recipe.noise.noised(clean, noise, times).to(self._device)
        goal = recipe.noise.target(clean, noise, times, recipe.target).to(self._device)
        predicted = self.network(noisy, times.to(self._device), self._classes(chosen))
        errors: Tensor = (predicted - goal).square()
        return errors.sum() / _RELEASED_DIVISOR if recipe.course.summed_loss else errors.mean()

    def _classes(self, chosen: Tensor) -> Tensor | None:
        if not self.recipe.class_conditional:
            return None
        withheld = torch.rand(len(chosen)) < self.recipe.class_dropout
        anybody = torch.full_like(chosen, self.network.classes)
        return torch.where(withheld, anybody, self._slices.labels[chosen]).to(self._device)

    def learning_rate(self) -> float:
        """Return the rate of the next step: a rise where wanted, then a cosine."""
        course, share = self.recipe.course, self.finished_share
        if share < course.warm_up_share:
            rise = course.warm_up_from + (1 - course.warm_up_from) * share / course.warm_up_share
            return course.learning_rate * rise
        passed = share - course.warm_up_share
        return course.learning_rate * (1 + math.cos(math.pi * passed)) / 2

    @torch.no_grad()
    def _update_average(self) -> None:
        # A young average forgets faster, so that the random start does not linger.
        decay = min(self.recipe.course.ema_decay, (self.step + 1) / (self.step + 10))
        for kept, current in zip(
            self.average.parameters(), self.network.parameters(), strict=True
        ):
            kept.lerp_(current, 1 - decay)

    def _log(self) -> None:
        path = self.folder / LOG
        new = not path.exists()
        with path.open("a", newline="") as stream:
            writer = csv.writer(stream)
            if new:
                writer.writerow(_COLUMNS)
            mean = self._losses[0] / self._losses[1]
            minutes = f"{self.seconds / 60:.2f}"
            rate = f"{self.learning_rate():.3e}"
            writer.writerow([self.epoch, self.step, minutes, rate, f"{mean:.6f}"])
        self._losses = [0.0, 0.0]

    def _identity(self) -> dict[str, Any]:
        """Return what must be equal for a training to be the same."""
        recipe = dataclasses.asdict(self.recipe)
        recipe["target"] = str(recipe["target"])  # nothing but plain values in a checkpoint
        # Another rhythm of saving is still the same training.
        for name in ("checkpoint_every", "sheet_every"):
            del recipe["course"][name]
        return {"recipe": recipe, "patients": list(self._slices.fingerprints)}

    def _save(self) -> None:
        state = {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "step": self.step,
            "losses": self._losses,
            "seconds": self.seconds,
            "identity": self._identity(),
        }
        save_whole(state, self.folder / CHECKPOINT)

    def _resume(self) -> None:
        state = load_own(self.folder / CHECKPOINT, self._identity(), self._device)
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self._optimiser.load_state_dict(state["optimiser"])
        self.step = int(state["step"])
        self._losses = [float(one) for one in state["losses"]]
        self._earlier_seconds = float(state["seconds"])
        self._forget_lines()

    def _forget_lines(self) -> None:
        """Drop from the log what was written after the checkpoint."""
        path = self.folder / LOG
        if not path.exists():
            return
        with path.open(newline="") as stream:
            rows = [row for row in csv.DictReader(stream) if int(row["steps"]) <= self.step]
        with path.open("w", newline="") as stream:
            writer = csv.DictWriter(stream, _COLUMNS)
            writer.writeheader()
            writer.writerows(rows)
