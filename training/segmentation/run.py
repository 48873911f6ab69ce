"""The one way to train any architecture: from its name and a cohort to a bundle."""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from training.segmentation.architectures import Architecture, Loop, architecture
from training.segmentation.experiment import Budget, Experiment
from training.segmentation.recipe import Recipe
from training.segmentation.run_result import RunProgress, RunResult

if TYPE_CHECKING:
    from training.cohort.folder import Cohort
    from training.segmentation.ranks import Ranks
    from training.segmentation.run_record import RunRecord
    from training.segmentation.slex.recipe import SlexRecipe

OnProgress = Callable[[RunProgress], None]

#: Told what is being prepared, how much is done and how much there is.
OnPreparation = Callable[[str, int, int], None]

#: Folder of the draft bundle in a run.
BUNDLE = "bundle"


def ignore_progress(progress: RunProgress) -> None:
    """Listen to nothing."""
    del progress


def ignore_preparation(what: str, done: int, total: int) -> None:
    """Listen to nothing."""
    del what, done, total


@dataclass(frozen=True, slots=True, kw_only=True)
class _Order:
    """A training as it was asked for."""

    architecture: Architecture
    cohort: "Cohort"
    folder: Path
    experiment: "Experiment | Recipe | SlexRecipe | None"
    budget: Budget
    seed: int
    device: str
    on_preparation: OnPreparation
    on_progress: OnProgress
    ranks: "Ranks"


def train_architecture(  # noqa: PLR0913  all that decides a training, by keyword
    name: str,
    *,
    cohort: Path | Sequence[Path],
    output: Path,
    experiment: "Experiment | Recipe | SlexRecipe | None" = None,
    budget: Budget | None = None,
    seed: int = 1,
    device: str = "cpu",
    on_preparation: OnPreparation = ignore_preparation,
    on_progress: OnProgress = ignore_progress,
    ranks: "Ranks | None" = None,
) -> RunResult:
    """Train an architecture and return what came of it; called again, training goes on.

    Parameters
    ----------
    name : str
        Of `training.segmentation.architectures`; decides which loop trains.
    cohort : Path or sequence of Path
        Folders of prepared cases with their split by patient.
    output : Path
        Folder of the run: ``run.json``, ``weights.safetensors``, curves, ``bundle`` with a draft
        card, and whatever the loop keeps for going on.
    experiment : Experiment, Recipe or SlexRecipe, optional
        Hyper-parameters; default the npj study's, or SLEX-Net's own. compact and slex-net may
        be given recipes of their loops; of an experiment they take grid, patch, width, batch
        and length and keep their own optimisers.
    budget : Budget, optional
        Limits of length.
    seed : int
        Of weights and augmentation.
    device : str
        A torch device.
    on_preparation, on_progress : callable
        Told about the data being prepared, and about every optimiser step.
    ranks : Ranks, optional
        Processes that train this together; default this one alone. Only the light loop knows it.

    Raises
    ------
    ValueError
        If the name is unknown, the patch does not fit the architecture, the cohort lacks a
        part, the folder holds another training, or the loop cannot be shared by processes.
    """
    from training.cohort.folder import load_cohort
    from training.segmentation.ranks import ALONE
    from training.segmentation.run_release import release_run

    order = _Order(
        architecture=architecture(name),
        cohort=load_cohort(cohort),
        folder=output,
        experiment=experiment,
        budget=budget or Budget(),
        seed=seed,
        device=device,
        on_preparation=on_preparation,
        on_progress=on_progress,
        ranks=ranks or ALONE,
    )
    if order.ranks.size > 1 and order.architecture.loop is not Loop.LIGHT:
        raise ValueError(
            f"{name} is trained by one process; compact by several, and nnU-Net's own networks by "
            "nnUNetv2_train -num_gpus"
        )
    output.mkdir(parents=True, exist_ok=True)
    record = _LOOPS[order.architecture.loop](order)
    if order.ranks.leads:
        release_run(output, output / BUNDLE, facts={})
    return RunResult(
        architecture=name,
        folder=output,
        bundle=output / BUNDLE,
        parameters=record.parameters,
        seconds=record.seconds,
        peak_memory_mb=record.peak_memory_mb,
        epochs=record.epochs,
        iterations=record.iterations,
    )


def _train_nnunet(order: _Order) -> "RunRecord":
    import torch

    from training.segmentation.nnunet.training import NnunetRun, train_nnunet

    experiment = order.experiment or Experiment()
    if not isinstance(experiment, Experiment):
        raise ValueError(  # noqa: TRY004  what the user named does not fit, no fault of types
            f"{order.architecture.name} is trained by an experiment, not by a recipe"
        )
    run = NnunetRun(
        architecture=order.architecture,
        cohort=order.cohort,
        folder=order.folder,
        experiment=experiment,
        budget=order.budget,
        seed=order.seed,
        device=torch.device(order.device),
    )
    return train_nnunet(run, on_preparation=order.on_preparation, on_progress=order.on_progress)


def _train_light(order: _Order) -> "RunRecord":
    from training.segmentation.light_run import light_recipe, shortened, train_light

    given = order.experiment or Experiment()
    if isinstance(given, Experiment):
        recipe = light_recipe(order.architecture.name, given, order.budget, seed=order.seed)
    elif isinstance(given, Recipe):
        recipe = shortened(given, order.budget)
    else:
        raise ValueError(  # noqa: TRY004  likewise
            f"{order.architecture.name} is not trained by SLEX-Net's recipe"
        )
    return train_light(
        recipe,
        order.cohort,
        folder=order.folder,
        device=order.device,
        on_progress=order.on_progress,
        ranks=order.ranks,
    )


def _train_slex(order: _Order) -> "RunRecord":
    from training.segmentation.slex.recipe import SlexRecipe
    from training.segmentation.slex_run import slex_recipe, train_slex_run

    given = order.experiment
    if given is None:
        recipe = dataclasses.replace(SlexRecipe(), seed=order.seed).within(order.budget)
    elif isinstance(given, Experiment):
        recipe = slex_recipe(given, order.budget, seed=order.seed)
    elif isinstance(given, SlexRecipe):
        recipe = given.within(order.budget)
    else:
        raise ValueError("slex-net is not trained by the light loop's recipe")
    return train_slex_run(
        recipe,
        order.cohort,
        folder=order.folder,
        device=order.device,
        on_progress=order.on_progress,
    )


_LOOPS: dict[Loop, Callable[[_Order], "RunRecord"]] = {
    Loop.NNUNET: _train_nnunet,
    Loop.LIGHT: _train_light,
    Loop.SLEX: _train_slex,
}
