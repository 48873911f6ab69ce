"""The command `ichtrain classification train`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from training.classification.command_options import (
    BundleVersion,
    CohortName,
    Device,
    Initial,
    Recipe,
    SplitFile,
    Threads,
    TripletFolders,
)
from training.command_line import Bar, bar, told

if TYPE_CHECKING:
    from collections.abc import Callable

    from training.classification import recipe as recipes
    from training.classification.fitting import EpochRecord
    from training.classification.split import Split

_Output = Annotated[Path, typer.Option(help="Folder for state, log and bundle.")]
_Validation = Annotated[
    list[Path] | None,
    typer.Option(help="Folder of validation triplets; else patients are split."),
]
_Synthetic = Annotated[
    Path | None, typer.Option(help="Set of `ichtrain synthesis sample` to learn from, too.")
]
_Seed = Annotated[
    int | None,
    typer.Option(min=0, help="In place of the recipe's, which still divides the patients."),
]


def train(  # noqa: PLR0913, PLR0917  one parameter for each option
    recipe: Recipe,
    triplets: TripletFolders,
    output: _Output,
    validation: _Validation = None,
    split: SplitFile = None,
    synthetic: _Synthetic = None,
    initial: Initial = None,
    seed: _Seed = None,
    cohort_name: CohortName = None,
    bundle_version: BundleVersion = "1",
    device: Device = "auto",
    threads: Threads = 1,
) -> None:
    """Fit a classifier and write it as a bundle to OUTPUT/bundle.

    A call that was interrupted goes on where it stopped when repeated. The patients are divided
    by --split, by splits.json beside the triplets, or by the recipe. OUTPUT also gets log.csv,
    log.png and reliability.png. Calls that differ in --seed make the members of an ensemble.
    """
    from dataclasses import replace

    import torch

    from pipeline.models import choose_device
    from training.classification.figures import draw_fit
    from training.classification.fitting import fit
    from training.classification.initial_weights import find_initial_weights
    from training.classification.recipe import read_recipe
    from training.classification.release import release_classifier
    from training.synthesis.augmented_set import with_synthetic

    torch.set_num_threads(threads)
    with told():
        choices, chosen = read_recipe(recipe), choose_device(device)
        sides = _sides(choices, triplets, validation=validation, split=split, synthetic=synthetic)
        if synthetic is not None:
            sides = with_synthetic(sides, synthetic)
        if seed is not None:
            choices = replace(choices, seed=seed)
        typer.echo(f"{len(sides.training)} cases to learn, {len(sides.validation)} to choose by")
        weights = find_initial_weights(initial, choices.network.architecture)
        with bar() as shown:
            tell = _teller(shown, choices.schedule.epochs)
            fitted = fit(
                sides, choices, output=output, on_epoch=tell, initial=weights, device=chosen
            )
        draw_fit(output, fitted)
        released = release_classifier(
            output / "bundle", fitted, choices, sides, version=bundle_version, cohort=cohort_name
        )
        typer.echo(
            f"epoch {fitted.record.epoch} chosen, validation AUC "
            f"{fitted.record.validation_auc:.3f}, threshold {fitted.threshold:.3f}: "
            f"{released.path}"
        )


def _sides(
    choices: "recipes.Recipe",
    triplets: list[Path],
    *,
    validation: list[Path] | None,
    split: Path | None,
    synthetic: Path | None,
) -> "Split":
    from training.classification.case import load_cases
    from training.classification.split import Split, divide

    cases = load_cases(triplets)
    if validation:
        return Split(training=tuple(cases), validation=tuple(load_cases(validation)))
    return divide(
        cases,
        triplets,
        given=split,
        validation_share=choices.validation_share,
        seed=choices.seed if synthetic is None else None,
    )


def _teller(shown: Bar, epochs: int) -> "Callable[[EpochRecord], None]":
    def tell(record: "EpochRecord") -> None:
        words = f"loss {record.outcome_loss:.3f}, validation AUC {record.validation_auc:.3f}"
        shown.count(record.epoch, epochs, what=f"{words}, epoch")

    return tell
