"""The commands `ichtrain classification ...`."""

from pathlib import Path
from typing import Annotated

import typer

APP = typer.Typer(
    help="Fit and judge the classifier of hematoma expansion.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
)

TripletFolders = Annotated[
    list[Path], typer.Option("--triplets", help="Folder of triplets; may be given repeatedly.")
]


@APP.command()
def triplets(
    cohort: Annotated[Path, typer.Option(help="Folder that `ichtrain phantom` wrote.")],
    output: Annotated[Path, typer.Option(help="Folder of triplets; made if absent.")],
) -> None:
    """Cut the triplets of a simulated cohort around the true hematomas.

    Triplets that stand already are not cut again, so the call may be repeated while the
    cohort grows.
    """
    from rich.progress import track

    from training.classification.case import case_path, save_case
    from training.classification.simulated_cohort import (
        case_identity,
        cohort_records,
        read_simulated_case,
    )

    for record in track(cohort_records(cohort), description="Cutting triplets"):
        if not case_path(output, case_identity(record)).exists():
            save_case(output, read_simulated_case(cohort, record))


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
def train(
    recipe: Annotated[Path, typer.Option(help="Recipe, e.g. config/training/*.toml.")],
    triplets: TripletFolders,
    output: Annotated[Path, typer.Option(help="Folder for state, log and bundle.")],
    validation: Annotated[
        list[Path] | None,
        typer.Option(help="Folder of validation triplets; else patients are split by the recipe."),
    ] = None,
    initial: Annotated[
        Path | None, typer.Option(help="Safetensors file of weights to start from.")
    ] = None,
    bundle_version: Annotated[str, typer.Option(help="Version written into the card.")] = "1",
    threads: Annotated[int, typer.Option(min=1, help="CPU threads.")] = 1,
) -> None:
    """Fit a classifier and write it as a bundle to OUTPUT/bundle.

    A call that was interrupted goes on where it stopped when repeated.
    """
    import torch
    from rich.console import Console
    from safetensors.torch import load_file

    from training.classification.case import load_cases
    from training.classification.figures import plot_log
    from training.classification.fitting import EpochRecord, fit, read_log
    from training.classification.recipe import read_recipe
    from training.classification.release import release_classifier
    from training.classification.split import Split, split_cases

    torch.set_num_threads(threads)
    console = Console()
    choices = read_recipe(recipe)
    cases = load_cases(triplets)
    if validation:
        split = Split(training=tuple(cases), validation=tuple(load_cases(validation)))
    else:
        split = split_cases(cases, validation_share=choices.validation_share, seed=choices.seed)
    console.print(f"{len(split.training)} cases to learn, {len(split.validation)} to choose by")

    def tell(record: EpochRecord) -> None:
        console.print(
            f"epoch {record.epoch:3d} of {choices.schedule.epochs}  "
            f"outcome {record.outcome_loss:.4f}  signs {record.signs_loss:.4f}  "
            f"validation AUC {record.validation_auc:.3f}"
        )

    weights = None if initial is None else load_file(initial)
    fitted = fit(split, choices, output=output, on_epoch=tell, initial=weights)
    plot_log(output / "log.png", read_log(output / "log.csv"))
    released = release_classifier(
        output / "bundle", fitted, choices, split, version=bundle_version
    )
    console.print(
        f"epoch {fitted.record.epoch} chosen, threshold {fitted.threshold:.3f}: {released.path}"
    )


@APP.command()
def evaluate(
    bundle: Annotated[Path, typer.Option(help="Folder of a classification bundle.")],
    triplets: TripletFolders,
    output: Annotated[Path, typer.Option(help="Folder for scores, predictions and ROC curve.")],
    *,
    write_card: Annotated[
        bool, typer.Option("--write-card", help="Write the scores into the bundle's card.")
    ] = False,
) -> None:
    """Judge a classifier on patients it has never seen, patient by patient."""
    import torch
    from rich.console import Console
    from rich.table import Table

    from pipeline.classification.classifier import Classifier
    from pipeline.model_bundle import load_bundle
    from training.classification import evaluation
    from training.classification.case import load_cases
    from training.classification.figures import plot_roc
    from training.classification.release import with_scores

    loaded = load_bundle(bundle)
    found = evaluation.evaluate(
        Classifier(loaded, device=torch.device("cpu")), load_cases(triplets)
    )
    scores = evaluation.score(found)
    evaluation.write_evaluation(output, found, scores)
    plot_roc(output / "roc.png", found, scores)
    if write_card:
        with_scores(loaded, scores)
    table = Table("measure", "value", title="By hematoma, RESEARCH USE ONLY")
    table.add_row("patients", str(scores.patients))
    table.add_row("hematomas (expanded)", f"{scores.cases} ({scores.expanded})")
    table.add_row("AUC", str(scores.auc))
    table.add_row(f"sensitivity at {found.threshold:.3f}", str(scores.sensitivity))
    table.add_row(f"specificity at {found.threshold:.3f}", str(scores.specificity))
    table.add_row("Brier score", f"{scores.brier:.3f}")
    table.add_row("mean probability", f"{scores.mean_probability:.3f}")
    Console().print(table)
