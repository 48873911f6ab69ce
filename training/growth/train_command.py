"""The command `ichtrain growth train`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from training.command_line import bar, told
from training.growth.command_options import Device, Pairs, Recipe, Threads, named_arms

if TYPE_CHECKING:
    from training.growth.trainer import LearningProgress

_Output = Annotated[Path, typer.Option(help="Folder of the run; made if absent.")]
_Arms = Annotated[
    str,
    typer.Option(help="Of original, augmentation, synthesis, diffeomorphic, as-released."),
]
_Folds = Annotated[
    int | None,
    typer.Option(min=2, help="Folds of the cross-validation; default leave one patient out."),
]
_Everybody = Annotated[
    bool,
    typer.Option("--everybody", help="Also train on all patients together, for a release."),
]


def train(
    pairs: Pairs,
    output: _Output,
    recipe: Recipe = None,
    arms: _Arms = "original,augmentation,synthesis",
    folds: _Folds = None,
    everybody: _Everybody = False,  # noqa: FBT002  Typer makes the flag from it
    device: Device = "auto",
    threads: Threads = 2,
) -> None:
    """Train the forecast in several ways, in a cross-validation by patient.

    Each arm gets a folder, each fold one within it, with log.csv, curves.png and the weights of
    the epoch with the least validation loss. Ctrl-C loses at most the steps since the last
    checkpoint; the same call goes on there. More arms can be added by a later call.

    Examples
    --------
      ichtrain growth train --pairs pairs --output runs/growth --everybody

      ichtrain growth train --pairs pairs --output runs/small --folds 5
      --recipe config/training/growth_small.toml
    """
    import torch

    from pipeline.models import choose_device
    from training.growth.folds import everybody as all_patients
    from training.growth.folds import make_folds
    from training.growth.recipe import GrowthRecipe, read_growth_recipe
    from training.growth.run import begin_run, patients_of, train_fold

    torch.set_num_threads(threads)
    with told():
        chosen = named_arms(arms)
        choices = GrowthRecipe() if recipe is None else read_growth_recipe(recipe)
        patients = patients_of(pairs)
        share = choices.course.validation_share
        tested = make_folds(patients, count=folds, validation_share=share)
        last = all_patients(patients, validation_share=share)
        run = begin_run(output, pairs, choices, [*tested, last])
        work = [(arm, fold) for fold in run.folds if fold.testing or everybody for arm in chosen]
        where = choose_device(device)
        with bar() as shown:
            for number, (arm, fold) in enumerate(work):

                def follow(
                    at: "LearningProgress",
                    number: int = number,
                    name: str = f"{arm} {fold.name}",
                ) -> None:
                    part = (at.epoch + at.share) / at.epochs
                    shown.follow(
                        f"{name}, epoch {at.epoch + 1}/{at.epochs}", (number + part) / len(work)
                    )

                train_fold(run, arm, fold, device=where, on_progress=follow)
    typer.echo(f"{output}: {len(work)} trainings have ended")
