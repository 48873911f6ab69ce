"""A training of SLEX-Net by its own recipe, with the record that every run leaves."""

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path

from training.cohort.folder import Cohort
from training.cohort.patient_split import Part
from training.segmentation.architectures import Loop
from training.segmentation.experiment import Budget, Experiment
from training.segmentation.run_record import WEIGHTS_FILE, RunRecord, write_record
from training.segmentation.run_result import RunProgress
from training.segmentation.slex.fit import train_slex
from training.segmentation.slex.recipe import SlexRecipe
from training.segmentation.slex.release import read_summary
from training.segmentation.slex.trainer import BEST_WEIGHTS

#: SLEX-Net sees whole sections of a head, in multiples of what four halvings need.
_HEAD_MM = (216.0, 180.0)
_MULTIPLE = 16

_NAME = "slex-net"


def slex_recipe(experiment: Experiment, budget: Budget, *, seed: int) -> SlexRecipe:
    """Return SLEX-Net's recipe with an experiment's grid, width, batch and length."""
    wanted = budget.applied_to(experiment)
    rows, columns = (
        _MULTIPLE * math.ceil(reach / pixel / _MULTIPLE)
        for reach, pixel in zip(_HEAD_MM, wanted.spacing_zyx_mm[1:], strict=True)
    )
    plain = SlexRecipe()
    schedule = dataclasses.replace(
        plain.schedule,
        epochs=wanted.epochs,
        iterations=wanted.iterations,
        limit_minutes=budget.minutes,
        batch_size=wanted.batch_size,
    )
    return dataclasses.replace(
        plain,
        architecture_arguments={} if wanted.width is None else {"width": wanted.width},
        spacing_zyx_mm=wanted.spacing_zyx_mm,
        patch_size_zyx=(plain.patch_size_zyx[0], rows, columns),
        seed=seed,
        schedule=schedule,
    )


def train_slex_run(
    recipe: SlexRecipe,
    cohort: Cohort,
    *,
    folder: Path,
    device: str,
    on_progress: Callable[[RunProgress], None],
) -> RunRecord:
    """Train SLEX-Net, or go on, and return the record of the run.

    Raises
    ------
    ValueError
        If there is nothing to learn from or the folder holds another training.
    """
    result = train_slex(
        recipe,
        cohort.cases(Part.TRAIN),
        validation=cohort.cases(Part.VALIDATION),
        folder=folder,
        device=device,
        on_progress=on_progress,
    )
    _write_weights(folder)
    summary = read_summary(folder)
    dice = summary.validation_dice
    record = RunRecord(
        architecture=_NAME,
        registry_name="SlexNet",
        arguments=recipe.architecture_arguments,
        loop=Loop.SLEX.value,
        spacing_zyx_mm=recipe.spacing_zyx_mm,
        patch_size_zyx=recipe.patch_size_zyx,
        intensity=recipe.intensity,
        hyper_parameters={
            **dataclasses.asdict(recipe.schedule),
            "class_weights": recipe.class_weights,
            "healthy_share": recipe.healthy_share,
            "optimiser": "Adam",
        },
        seed=recipe.seed,
        cohorts=tuple(path.name for path in cohort.folders),
        counts=cohort.describe(),
        sources=cohort.sources(Part.TRAIN),
        parameters=result.parameters,
        seconds=result.seconds,
        peak_memory_mb=result.peak_memory_mb,
        epochs=result.epochs,
        iterations=result.iterations,
        finished=result.epochs >= recipe.schedule.epochs,
        scores={"best_epoch": summary.best_epoch} | ({} if dice is None else {"dice": dice}),
    )
    write_record(folder, record)
    return record


def _write_weights(folder: Path) -> None:
    import torch
    from safetensors.torch import save_file

    weights = torch.load(folder / BEST_WEIGHTS, map_location="cpu", weights_only=True)
    partial = folder / f"{WEIGHTS_FILE}.part"
    save_file({name: value.contiguous() for name, value in weights.items()}, partial)
    partial.replace(folder / WEIGHTS_FILE)
