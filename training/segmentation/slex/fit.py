"""A whole training of SLEX-Net: from cases to best weights and a draft bundle."""

import resource
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import torch

from training.cohort.case import Case
from training.cohort.split import divide
from training.segmentation.run_result import RunProgress, RunResult
from training.segmentation.slex.recipe import SlexRecipe
from training.segmentation.slex.release import SlexSummary, release_slex, write_summary
from training.segmentation.slex.stacks import Stack, stack_of
from training.segmentation.slex.trainer import SlexTrainer

_BUNDLE = "bundle"


def train_slex(
    recipe: SlexRecipe,
    cases: Iterable[Case],
    *,
    folder: Path,
    validation: Iterable[Case] | None = None,
    device: str = "cpu",
    on_progress: Callable[[RunProgress], None] = lambda _: None,
    clock: Callable[[], float] = time.monotonic,
) -> RunResult:
    """Train SLEX-Net and return what came of it; called again, an interrupted run goes on.

    The folder receives ``best.pt`` (the weights of the epoch with the best validation Dice),
    ``checkpoint.pt``, ``log.csv`` (one row an epoch), ``summary.json`` and ``bundle``, a
    bundle with a draft card that `load_segmenter` takes. `release_slex` writes one with a
    proper card.

    Parameters
    ----------
    recipe : SlexRecipe
        E.g. from `read_slex_recipe`; ``recipe.within(budget)`` shortens it.
    cases : iterable of Case
        Prepared cases, read one by one and kept on the recipe's grid. What the labels ignore
        takes no part.
    folder : Path
        Of the run.
    validation : iterable of Case, optional
        Other patients. Left out, the recipe's share of the patients in `cases` is set aside by
        the hash of `training.cohort.split`.
    device : str
        A torch device.
    on_progress : callable
        Told after every optimiser step; ``pseudo_dice`` is the best validation Dice so far.
    clock : callable
        Seconds, rising.

    Raises
    ------
    ValueError
        If a patient is on both sides, there is nothing to learn from, or the folder holds a
        training of another recipe.
    """
    training, held_out = _stacks(recipe, cases, validation)
    if torch.device(device).type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    trainer = SlexTrainer(recipe, training, held_out, folder=folder, device=device, clock=clock)
    trainer.run(on_progress=on_progress)
    write_summary(folder, _summary(trainer, training, held_out))
    release_slex(folder / _BUNDLE, recipe, folder)
    return RunResult(
        architecture="slex-net",
        folder=folder,
        bundle=folder / _BUNDLE,
        parameters=sum(parameter.numel() for parameter in trainer.network.parameters()),
        seconds=trainer.seconds,
        peak_memory_mb=_peak_memory_mb(torch.device(device)),
        epochs=trainer.epoch,
        iterations=trainer.step,
    )


def _stacks(
    recipe: SlexRecipe, cases: Iterable[Case], validation: Iterable[Case] | None
) -> tuple[list[Stack], list[Stack]]:
    given = [stack_of(case, recipe) for case in cases]
    if validation is None:
        return divide(
            given,
            patient_of=lambda stack: stack.patient_id,
            fraction=recipe.validation_fraction,
        )
    held_out = [stack_of(case, recipe) for case in validation]
    both = _patients(given) & _patients(held_out)
    if both:
        raise ValueError(f"{len(both)} patients are in training and in validation")
    return given, held_out


def _patients(stacks: Sequence[Stack]) -> set[str]:
    return {stack.patient_id for stack in stacks}


def _summary(
    trainer: SlexTrainer, training: Sequence[Stack], held_out: Sequence[Stack]
) -> SlexSummary:
    return SlexSummary(
        sources=tuple(sorted({stack.source for stack in training})),
        training_scans=len(training),
        training_patients=len(_patients(training)),
        validation_scans=len(held_out),
        validation_patients=len(_patients(held_out)),
        epochs=trainer.epoch,
        iterations=trainer.step,
        seconds=round(trainer.seconds, 1),
        best_epoch=trainer.best_epoch,
        validation_dice=trainer.best_dice,
    )


def _peak_memory_mb(device: torch.device) -> float:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e6
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6
