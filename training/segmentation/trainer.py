"""The training loop: resumable, with averaged weights, a log and a picture of progress."""

import csv
import math
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.segmentation.networks.registry import build_network
from training.cohort.case import IGNORED, Case
from training.saved_state import save_whole
from training.segmentation.loss import dice_and_cross_entropy
from training.segmentation.patches import CasePool, draw_patch, normalise
from training.segmentation.precision import training_type
from training.segmentation.ranks import ALONE, Ranks
from training.segmentation.recipe import Recipe

#: Probability from which a voxel counts as found while validating.
_CUTOFF = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """One row of the log."""

    step: int
    minutes: float
    learning_rate: float
    loss: float
    scores: dict[str, float] = field(default_factory=dict)


class Trainer:
    """Holds network, optimiser, averaged weights and the random state of a training.

    Parameters
    ----------
    recipe : Recipe
        What to train and how.
    pool : CasePool
        Where patches come from; refreshed at every validation.
    folder : Path
        Receives ``checkpoint.pt``, ``log.csv`` and, at every validation, ``average.pt``.
    device : str
        A torch device.
    clock : callable
        Seconds, rising; for the time limit.
    ranks : Ranks
        Who trains with this process; the leader alone writes and validates.

    Raises
    ------
    ValueError
        If the processes cannot share the patches of a step, or do not see one folder.
    """

    def __init__(
        self,
        recipe: Recipe,
        pool: CasePool,
        *,
        folder: Path,
        device: str = "cpu",
        clock: Callable[[], float] = time.monotonic,
        ranks: Ranks = ALONE,
    ) -> None:
        if recipe.schedule.batch_size % ranks.size:
            raise ValueError(
                f"schedule.batch_size is {recipe.schedule.batch_size}; {ranks.size} processes "
                f"need a multiple of {ranks.size}"
            )
        self.recipe = recipe
        self.pool = pool
        self.folder = folder
        self.device = torch.device(device)
        self._clock = clock
        self._ranks = ranks
        torch.manual_seed(recipe.seed)
        self.network = _build(recipe).to(self.device)
        self.average = _build(recipe).to(self.device)
        self.average.load_state_dict(self.network.state_dict())
        self.optimiser = torch.optim.AdamW(
            self.network.parameters(),
            lr=recipe.schedule.learning_rate,
            weight_decay=recipe.schedule.weight_decay,
        )
        self.rng = np.random.default_rng(recipe.seed)
        self.step = 0
        self._earlier_seconds = 0.0
        self._started = clock()
        folder.mkdir(parents=True, exist_ok=True)
        if self._checkpoint.exists():
            self._resume()
        if ranks.agreed(self.step) != self.step:
            raise ValueError(f"{folder} must be one folder for all processes that train together")
        self._trained = ranks.together(self.network)

    @property
    def _checkpoint(self) -> Path:
        return self.folder / "checkpoint.pt"

    @property
    def minutes(self) -> float:
        """Time spent in training so far, over all runs."""
        return (self._earlier_seconds + self._clock() - self._started) / 60

    @property
    def finished_share(self) -> float:
        """How much of the schedule lies behind, in [0, 1]."""
        schedule = self.recipe.schedule
        share = max(self.step / schedule.steps, self.minutes / schedule.limit_minutes)
        return min(share, 1.0)

    def run(self, *, on_progress: Callable[[Progress], None] = lambda _: None) -> None:
        """Train until the schedule ends, calling back after every step."""
        schedule = self.recipe.schedule
        self.pool.refresh()
        while (share := self._ranks.agreed(self.finished_share)) < 1:
            rate = self._set_learning_rate(share)
            loss = self._ranks.mean(self._take_step())
            self.step += 1
            scores: dict[str, float] = {}
            if self.step % schedule.validate_every == 0:
                self.pool.refresh()
                if self._ranks.leads:
                    scores = self.validate()
                    save_weights(self.average, self.folder / "average.pt")
            if self.step % schedule.checkpoint_every == 0:
                self.save()
            progress = Progress(
                step=self.step,
                minutes=self.minutes,
                learning_rate=rate,
                loss=loss,
                scores=scores,
            )
            if self._ranks.leads:
                self._log(progress)
                on_progress(progress)
        self.save()
        if self._ranks.leads:
            save_weights(self.average, self.folder / "average.pt")

    def validate(self) -> dict[str, float]:
        """Return the mean Dice of the averaged weights per source of held-out patients."""
        limit = self.recipe.sampling.validation_limit
        scores = {}
        for source, cases in sorted(self.pool.validation.items()):
            values = [
                _dice(predict_whole(self.average, case, self.recipe, device=self.device), case)
                for case in cases[:limit]
            ]
            known = [value for value in values if value is not None]
            if known:
                scores[source] = float(np.mean(known))
        return scores

    def save(self) -> None:
        """Write everything that a later run needs to go on; the leader does it for all."""
        if not self._ranks.leads:
            return
        state = {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "random": self.rng.bit_generator.state,
            "step": self.step,
            "seconds": self.minutes * 60,
            "recipe": asdict(self.recipe),
        }
        save_whole(state, self._checkpoint)

    def _resume(self) -> None:
        state = torch.load(self._checkpoint, map_location=self.device, weights_only=True)
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.rng.bit_generator.state = state["random"]
        self.step = int(state["step"])
        self._earlier_seconds = float(state["seconds"])

    def _set_learning_rate(self, share: float) -> float:
        schedule = self.recipe.schedule
        warm_up = min(1.0, (self.step + 1) / max(schedule.warm_up_steps, 1))
        cosine = (1 + math.cos(math.pi * share)) / 2
        rate = schedule.learning_rate * warm_up * max(cosine, 0.01)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        return rate

    def _take_step(self) -> float:
        patches = [draw_patch(self.pool, self.recipe, rng) for rng in self._generators()]
        images = torch.from_numpy(np.stack([image for image, _ in patches]))[:, None]
        labels = torch.from_numpy(np.stack([label for _, label in patches])).to(self.device)
        self.network.train()
        with _precision(self.device):
            logits = self._trained(images.to(self.device)).float()
        voxel_ml = math.prod(self.recipe.spacing_zyx_mm) / 1000
        # Patch by patch, so that it does not matter which of them one process has.
        losses = [
            dice_and_cross_entropy(logits[one : one + 1], labels[one : one + 1], voxel_ml=voxel_ml)
            for one in range(len(patches))
        ]
        loss = torch.stack(losses).mean()
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it unannotated
        nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
        self.optimiser.step()
        self._update_average()
        return float(loss.detach())

    def _generators(self) -> list[np.random.Generator]:
        """Return what draws each of this process's patches in this step."""
        batch = self.recipe.schedule.batch_size
        if batch == 1:
            return [self.rng]
        return [
            np.random.default_rng((self.recipe.seed, self.step, number))
            for number in self._ranks.share_of(batch)
        ]

    @torch.no_grad()
    def _update_average(self) -> None:
        decay = min(self.recipe.schedule.ema_decay, (self.step + 1) / (self.step + 10))
        for kept, current in zip(
            self.average.parameters(), self.network.parameters(), strict=True
        ):
            kept.lerp_(current, 1 - decay)

    def _log(self, progress: Progress) -> None:
        path = self.folder / "log.csv"
        new = not path.exists()
        with path.open("a", newline="") as stream:
            writer = csv.writer(stream)
            if new:
                writer.writerow(["step", "minutes", "learning_rate", "loss", "scores"])
            scores = ";".join(f"{key}={value:.4f}" for key, value in progress.scores.items())
            writer.writerow(
                [
                    progress.step,
                    f"{progress.minutes:.2f}",
                    f"{progress.learning_rate:.2e}",
                    f"{progress.loss:.4f}",
                    scores,
                ]
            )


@torch.inference_mode()
def predict_whole(
    network: nn.Module, case: Case, recipe: Recipe, *, device: torch.device
) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Return the hematoma probability of a whole case in one pass, shape (Z, Y, X)."""
    network.eval()
    image = normalise(case.hu_zyx.astype(np.float32), recipe)
    air = (recipe.clip_low_hu - recipe.mean_hu) / recipe.sd_hu
    padding: list[int] = []
    for size, step in zip(reversed(image.shape), (32, 32, 4), strict=True):
        padding += [0, -size % step]
    tensor: Tensor = functional.pad(torch.from_numpy(image), padding, value=air)
    with _precision(device):
        logits = network(tensor[None, None].to(device))[0].float()
    z, y, x = image.shape
    probability: np.ndarray[Any, np.dtype[np.float32]] = (
        torch.softmax(logits, dim=0)[1, :z, :y, :x].cpu().numpy()
    )
    return probability


def save_weights(network: nn.Module, path: Path) -> None:
    """Write a network's weights, whole or not at all."""
    save_whole(network.state_dict(), path)


def _precision(device: torch.device) -> AbstractContextManager[Any]:
    computed = training_type("auto", device)
    mixed = computed != torch.float32
    return torch.autocast(device.type, computed) if mixed else nullcontext()


def _build(recipe: Recipe) -> nn.Module:
    return build_network(recipe.architecture, recipe.architecture_arguments)


def _dice(probability: np.ndarray[Any, np.dtype[np.float32]], case: Case) -> float | None:
    """Return Dice at 0.5 over known voxels, None where there is nothing to find."""
    known = case.label_zyx != IGNORED
    truth = case.label_zyx == 1
    if not truth.any():
        return None
    found = (probability >= _CUTOFF) & known
    return float(2 * np.count_nonzero(found & truth) / (found.sum() + truth.sum()))
