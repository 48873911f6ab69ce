"""The commands `ichtrain classification ...`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from training.classification.command_options import (
    Bundle,
    BundleVersion,
    CohortName,
    Initial,
    Recipe,
    SplitFile,
    Threads,
    TripletFolders,
)
from training.classification.ensemble_command import ensemble
from training.classification.experiment_command import experiments
from training.classification.saliency_command import explain
from training.command_line import bar, told

if TYPE_CHECKING:
    from training.classification.fitting import EpochRecord

APP = typer.Typer(
    help="Fit and judge the classifier of hematoma expansion.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
)


@APP.command()
def triplets(
    cohort: Annotated[
        Path, typer.Option(help="Folder that `ichtrain phantom` or `cohort import` wrote.")
    ],
    output: Annotated[Path, typer.Option(help="Folder of triplets; made if absent.")],
    recipe: Annotated[
        Path | None, typer.Option(help="Recipe whose crop is wanted; default 10 mm, square.")
    ] = None,
) -> None:
    """Cut the triplets of a cohort around the hematomas of its masks.

    Triplets that stand already are not cut again, so the call may be repeated while the
    cohort grows. An imported cohort needs follow-up scans, whose volumes give the outcome; its
    division of the patients is copied as splits.json.
    """
    import shutil

    from rich.progress import track

    from pipeline.slice_input import SliceInput
    from training.classification.case import case_path, save_case
    from training.classification.imported_cohort import (
        followed_patients,
        is_imported,
        read_imported_cases,
    )
    from training.classification.recipe import read_recipe
    from training.classification.simulated_cohort import (
        case_identity,
        cohort_records,
        read_simulated_case,
    )
    from training.cohort.folder import SPLIT_FILE

    with told():
        how = SliceInput() if recipe is None else read_recipe(recipe).slices
        if is_imported(cohort):
            patients = [
                one
                for one in followed_patients(cohort)
                if not case_path(output, one.baseline_scan).exists()
            ]
            cases = read_imported_cases(cohort, patients, how=how)
            for case in track(cases, total=len(patients), description="Cutting triplets"):
                save_case(output, case)
            shutil.copyfile(cohort / SPLIT_FILE, output / SPLIT_FILE)
            return
        for record in track(cohort_records(cohort), description="Cutting triplets"):
            if not case_path(output, case_identity(record)).exists():
                save_case(output, read_simulated_case(cohort, record, how=how))


@APP.command()
def simulate(
    output: Annotated[Path, typer.Option(help="Folder of triplets; made if absent.")],
    heads: Annotated[int, typer.Option(min=1, help="How many heads.")] = 100,
    lesions: Annotated[int, typer.Option(min=1, help="Hematomas in each head.")] = 10,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the cohort.")] = 500000,
    he_share: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Share that expands; about 0.2 if not given."),
    ] = None,
) -> None:
    """Simulate triplets directly: many hematomas in few heads, without whole scans.

    Heads that stand already are not made again.
    """
    from rich.progress import track

    from training.classification.case import case_path, save_case
    from training.classification.simulated_lesions import lesion_identity, simulate_lesions

    for head in track(range(heads), description="Simulating heads"):
        last = lesion_identity(seed=seed, head=head, number=lesions - 1)
        if case_path(output, last).exists():
            continue
        for case in simulate_lesions(seed=seed, head=head, lesions=lesions, he_share=he_share):
            save_case(output, case)


@APP.command()
def train(  # noqa: PLR0913, PLR0917  one parameter for each option
    recipe: Recipe,
    triplets: TripletFolders,
    output: Annotated[Path, typer.Option(help="Folder for state, log and bundle.")],
    validation: Annotated[
        list[Path] | None,
        typer.Option(help="Folder of validation triplets; else patients are split."),
    ] = None,
    split: SplitFile = None,
    synthetic: Annotated[
        Path | None,
        typer.Option(help="Set of `ichtrain synthesis sample` to learn from, too."),
    ] = None,
    initial: Initial = None,
    cohort_name: CohortName = None,
    bundle_version: BundleVersion = "1",
    threads: Threads = 1,
) -> None:
    """Fit a classifier and write it as a bundle to OUTPUT/bundle.

    A call that was interrupted goes on where it stopped when repeated. The patients are divided
    by --split, by splits.json beside the triplets, or by the recipe. OUTPUT also gets log.csv,
    log.png and reliability.png.
    """
    import torch

    from training.classification.case import load_cases
    from training.classification.figures import draw_fit
    from training.classification.fitting import EpochRecord, fit
    from training.classification.initial_weights import find_initial_weights
    from training.classification.recipe import read_recipe
    from training.classification.release import release_classifier
    from training.classification.split import Split, divide
    from training.synthesis.augmented_set import with_synthetic

    torch.set_num_threads(threads)
    with told():
        choices = read_recipe(recipe)
        if validation:
            sides = Split(
                training=tuple(load_cases(triplets)), validation=tuple(load_cases(validation))
            )
        else:
            sides = divide(
                load_cases(triplets),
                triplets,
                given=split,
                validation_share=choices.validation_share,
                seed=choices.seed if synthetic is None else None,
            )
        if synthetic is not None:
            sides = with_synthetic(sides, synthetic)
        typer.echo(f"{len(sides.training)} cases to learn, {len(sides.validation)} to choose by")
        weights = find_initial_weights(initial, choices.network.architecture)
        with bar() as shown:

            def tell(record: EpochRecord) -> None:
                shown.count(record.epoch, choices.schedule.epochs, what=_words(record))

            fitted = fit(sides, choices, output=output, on_epoch=tell, initial=weights)
        draw_fit(output, fitted)
        released = release_classifier(
            output / "bundle", fitted, choices, sides, version=bundle_version, cohort=cohort_name
        )
        typer.echo(
            f"epoch {fitted.record.epoch} chosen, validation AUC "
            f"{fitted.record.validation_auc:.3f}, threshold {fitted.threshold:.3f}: "
            f"{released.path}"
        )


@APP.command()
def evaluate(
    bundle: Bundle,
    triplets: TripletFolders,
    output: Annotated[Path, typer.Option(help="Folder for scores, predictions and figures.")],
    *,
    write_card: Annotated[
        bool, typer.Option("--write-card", help="Write the scores into the bundle's card.")
    ] = False,
) -> None:
    """Judge a classifier on patients it has never seen, patient by patient."""
    import torch
    from rich.console import Console

    from pipeline.classification.classifier import Classifier
    from pipeline.model_bundle import load_bundle
    from training.classification import evaluation
    from training.classification.case import load_cases
    from training.classification.evaluation_files import (
        draw_evaluations,
        scores_table,
        write_evaluation,
    )
    from training.classification.release import with_scores

    with told():
        loaded = load_bundle(bundle)
        found = evaluation.evaluate(
            Classifier(loaded, device=torch.device("cpu")), load_cases(triplets)
        )
        scores = evaluation.score(found)
        write_evaluation(output, found, scores)
        title = f"{scores.cases} hematomas of {scores.patients} patients, {scores.expanded} HE"
        draw_evaluations(output, {loaded.card.name: (found, scores)}, title=title)
        if write_card:
            with_scores(loaded, scores)
        Console().print(scores_table(scores, threshold=found.threshold))


def _words(record: "EpochRecord") -> str:
    return f"loss {record.outcome_loss:.3f}, validation AUC {record.validation_auc:.3f}, epoch"


APP.command()(experiments)
APP.command()(ensemble)
APP.command()(explain)
