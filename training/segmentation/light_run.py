"""A training in this project's own light loop, with the record that every run leaves."""

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipeline.model_card import Intensity
from pipeline.segmentation.networks.registry import build_network
from training.cohort.folder import Cohort
from training.cohort.patient_split import Part
from training.segmentation.architectures import Loop, architecture_arguments, network_of
from training.segmentation.experiment import Budget, Experiment, Patch
from training.segmentation.patches import CasePool
from training.segmentation.peak_memory import PeakMemory
from training.segmentation.progress_picture import draw_progress
from training.segmentation.ranks import ALONE, Ranks
from training.segmentation.recipe import Recipe, Sampling, Schedule
from training.segmentation.run_record import (
    WEIGHTS_FILE,
    RunRecord,
    write_record,
)
from training.segmentation.run_result import RunProgress
from training.segmentation.trainer import Progress, Trainer

#: A head in the plane, and slices of a tile: one tile holds a whole section.
_HEAD_MM = (224.0, 192.0)

#: A year: the steps are the limit. (JSON knows no infinity.)
_NO_LIMIT = 365 * 24 * 60.0

#: Weights of one part in so many of the steps are averaged.
_AVERAGED = 10

#: Normalisation of the recipes in ``config/training``: soft tissue.
_SOFT_TISSUE = Intensity(clip_low_hu=-20.0, clip_high_hu=100.0, mean=25.0, sd=30.0)


def light_recipe(name: str, experiment: Experiment, budget: Budget, *, seed: int) -> Recipe:
    """Return a recipe with an experiment's grid, patch, width and length.

    Augmentation and loss stay those of the light loop, which the experiment of nnU-Net's loop
    does not know. So does the optimiser, AdamW; its learning rate and weight decay are the
    experiment's if they were meant for AdamW too. The kept weights are averaged over no more
    than a tenth of the steps, lest those of a short training are mostly early ones.

    Raises
    ------
    ValueError
        If the patch does not fit the architecture.
    """
    wanted = budget.applied_to(experiment)
    patch, spacing = wanted.patch_size_zyx, wanted.spacing_zyx_mm
    arguments = architecture_arguments(
        name, patch_size_zyx=patch, spacing_zyx_mm=spacing, width=wanted.width
    )
    steps = wanted.epochs * wanted.iterations
    rates: dict[str, Any] = {}
    if wanted.optimiser == "adamw":
        rates = {"learning_rate": wanted.learning_rate, "weight_decay": wanted.weight_decay}
    return Recipe(
        architecture="CompactUNet",
        architecture_arguments=arguments,
        spacing_zyx_mm=spacing,
        patch_size_zyx=patch,
        tile_size_zyx=_tile(patch, spacing[1:]),
        clip_low_hu=_SOFT_TISSUE.clip_low_hu,
        clip_high_hu=_SOFT_TISSUE.clip_high_hu,
        mean_hu=_SOFT_TISSUE.mean,
        sd_hu=_SOFT_TISSUE.sd,
        seed=seed,
        schedule=Schedule(
            steps=steps,
            limit_minutes=budget.minutes or _NO_LIMIT,
            warm_up_steps=min(100, steps // 10),
            validate_every=wanted.iterations,
            checkpoint_every=min(100, wanted.iterations),
            ema_decay=min(Schedule().ema_decay, max(0.0, 1 - _AVERAGED / steps)),
            **rates,
        ),
        sampling=Sampling(foreground_share=wanted.foreground_share),
    )


def shortened(recipe: Recipe, budget: Budget) -> Recipe:
    """Return a recipe within a budget; an epoch lasts from one validation to the next."""
    schedule = recipe.schedule
    epoch = budget.iterations or schedule.validate_every
    changes: dict[str, Any] = {}
    if budget.epochs is not None or budget.iterations is not None:
        epochs = budget.epochs or -(-schedule.steps // schedule.validate_every)
        changes = {
            "steps": epochs * epoch,
            "validate_every": epoch,
            "checkpoint_every": min(schedule.checkpoint_every, epoch),
            "warm_up_steps": min(schedule.warm_up_steps, epochs * epoch // 10),
        }
    if budget.minutes is not None:
        changes["limit_minutes"] = budget.minutes
    return dataclasses.replace(recipe, schedule=dataclasses.replace(schedule, **changes))


def train_light(
    recipe: Recipe,
    cohort: Cohort,
    *,
    folder: Path,
    device: str,
    on_progress: Callable[[RunProgress], None],
    ranks: Ranks = ALONE,
) -> RunRecord:
    """Train by a recipe, or go on, and return the record of the run.

    Of several processes the leader alone writes and tells of progress.

    Raises
    ------
    ValueError
        If the cohort has nothing to train on.
    """
    import torch

    if not cohort.part(Part.TRAIN):
        raise ValueError("The cohort has no scan with a mask in its train part")
    pool = CasePool(
        folders=list(cohort.folders),
        spacing_zyx_mm=recipe.spacing_zyx_mm,
        validation_fraction=0.0,
        split=cohort.split,
    )
    memory = PeakMemory(torch.device(device).type)
    trainer = Trainer(recipe, pool, folder=folder, device=device, ranks=ranks)
    pool.refresh()
    follower = _Follower(recipe=recipe, tell=on_progress)
    trainer.run(on_progress=follower)
    record = _record(recipe, cohort, trainer, memory, scores=follower.scores)
    if ranks.leads:
        draw_progress(folder / "log.csv", folder / "log.png")
        _write_weights(folder)
        write_record(folder, record)
    return record


class _Follower:
    """Turns the light loop's progress into that of every run, and keeps the last scores."""

    def __init__(self, *, recipe: Recipe, tell: Callable[[RunProgress], None]) -> None:
        self._schedule = recipe.schedule
        self._tell = tell
        self.scores: dict[str, float] = {}

    def __call__(self, progress: Progress) -> None:
        self.scores = progress.scores or self.scores
        schedule = self._schedule
        share = max(progress.step / schedule.steps, progress.minutes / schedule.limit_minutes)
        dices = list(self.scores.values())
        self._tell(
            RunProgress(
                share=min(share, 1.0),
                epoch=progress.step // schedule.validate_every,
                epochs=-(-schedule.steps // schedule.validate_every),
                loss=progress.loss,
                pseudo_dice=sum(dices) / len(dices) if dices else None,
            )
        )


def _tile(patch: Patch, pixel_yx_mm: tuple[float, float]) -> Patch:
    """Return a tile that holds a whole section of a head, in steps that the network can halve."""
    rows, columns = (
        max(size, 32 * math.ceil(reach / pixel / 32))
        for size, reach, pixel in zip(patch[1:], _HEAD_MM, pixel_yx_mm, strict=True)
    )
    return (patch[0], rows, columns)


def _write_weights(folder: Path) -> None:
    import torch
    from safetensors.torch import save_file

    weights = torch.load(folder / "average.pt", map_location="cpu", weights_only=True)
    partial = folder / f"{WEIGHTS_FILE}.part"
    save_file({name: value.contiguous() for name, value in weights.items()}, partial)
    partial.replace(folder / WEIGHTS_FILE)


def _record(
    recipe: Recipe,
    cohort: Cohort,
    trainer: Trainer,
    memory: PeakMemory,
    *,
    scores: dict[str, float],
) -> RunRecord:
    network = build_network(recipe.architecture, recipe.architecture_arguments)
    return RunRecord(
        architecture=network_of(recipe.architecture),
        registry_name=recipe.architecture,
        arguments=recipe.architecture_arguments,
        loop=Loop.LIGHT.value,
        spacing_zyx_mm=recipe.spacing_zyx_mm,
        patch_size_zyx=recipe.tile_size_zyx,
        intensity=Intensity(
            clip_low_hu=recipe.clip_low_hu,
            clip_high_hu=recipe.clip_high_hu,
            mean=recipe.mean_hu,
            sd=recipe.sd_hu,
        ),
        hyper_parameters={
            "patch_size_zyx": recipe.patch_size_zyx,
            **dataclasses.asdict(recipe.schedule),
            "optimiser": "AdamW, weights averaged",
        },
        seed=recipe.seed,
        cohorts=tuple(path.name for path in cohort.folders),
        counts=cohort.describe(),
        sources=cohort.sources(Part.TRAIN),
        parameters=sum(one.numel() for one in network.parameters()),
        seconds=trainer.minutes * 60,
        peak_memory_mb=memory.megabytes,
        epochs=trainer.step // recipe.schedule.validate_every,
        iterations=trainer.step,
        finished=trainer.finished_share >= 1,
        scores={f"dice_{name}": value for name, value in scores.items()},
    )
