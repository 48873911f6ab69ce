"""The commands `ichtrain classification ...`."""

from pathlib import Path
from typing import Annotated

import typer

from training.classification.command_options import Bundle, TripletFolders
from training.classification.comparison_command import compare
from training.classification.ensemble_command import ensemble
from training.classification.experiment_command import experiments
from training.classification.saliency_command import explain
from training.classification.train_command import train
from training.command_line import told

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
    centres: Annotated[
        str | None,
        typer.Option(help="Of `ichtrain phantom`: a number, or a TOML file of centres."),
    ] = None,
) -> None:
    """Simulate triplets directly: many hematomas in few heads, without whole scans.

    Heads that stand already are not made again.
    """
    from rich.progress import track

    from training.classification.case import case_path, save_case
    from training.classification.simulated_lesions import lesion_identity, simulate_lesions
    from training.phantom.centre import centres_of

    with told():
        places = () if centres is None else centres_of(centres)
        for head in track(range(heads), description="Simulating heads"):
            last = lesion_identity(seed=seed, head=head, number=lesions - 1)
            if case_path(output, last).exists():
                continue
            for case in simulate_lesions(
                seed=seed, head=head, lesions=lesions, he_share=he_share, centres=places
            ):
                save_case(output, case)


@APP.command()
def evaluate(
    bundle: Bundle,
    triplets: TripletFolders,
    output: Annotated[Path, typer.Option(help="Folder for scores, predictions and figures.")],
    *,
    write_card: Annotated[
        bool, typer.Option("--write-card", help="Write the scores into the bundle's card.")
    ] = False,
    name: Annotated[str, typer.Option(help="Name of these patients on the card.")] = "held_out",
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
            with_scores(loaded, scores, name=name)
        Console().print(scores_table(scores, threshold=found.threshold))


APP.command()(train)
APP.command()(compare)
APP.command()(experiments)
APP.command()(ensemble)
APP.command()(explain)
