"""The commands `ichtrain segmentation ...`."""

from pathlib import Path
from typing import Annotated

import typer

from training.command_line import told
from training.segmentation.benchmark.command import benchmark
from training.segmentation.detection.command import detect
from training.segmentation.distillation.command import distil
from training.segmentation.join_command import join
from training.segmentation.refit.command import refit
from training.segmentation.train_command import train
from training.segmentation.volume_error_command import calibrate_volume

APP = typer.Typer(
    help="Prepare cases, train the segmentation network, judge it and release it as a bundle.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
)

APP.command()(train)
APP.command()(benchmark)
APP.command()(told()(distil))
APP.command()(refit)
APP.command()(told()(join))
APP.command()(told()(detect))
APP.command("calibrate-volume")(told()(calibrate_volume))

CaseFolders = Annotated[
    list[Path],
    typer.Option("--cases", help="Folder of prepared cases; may be given repeatedly."),
]


@APP.command()
@told()
def prepare(
    source: Annotated[
        Path,
        typer.Argument(help="Cohort of `ichtrain phantom`, or the folder of PHE-SICH-CT-IDS."),
    ],
    output: Annotated[Path, typer.Option(help="Folder of prepared cases; made if absent.")],
) -> None:
    """Bring a cohort to the model's grid: 0.5 x 0.5 x 5 mm, cropped to the head.

    Which kind of cohort it is shows in its files. Cases that stand already are not made again,
    so the call may be repeated while a simulated cohort grows.

    Example: ichtrain segmentation prepare ~/cohorts/simulated --output ~/prepared/simulated
    """
    from rich.progress import track

    from training.cohort.case import save_case
    from training.cohort.prepared import pending_cases

    for case in track(list(pending_cases(source, output)), description="Preparing"):
        for scan in case.read():
            save_case(output, scan)


@APP.command()
@told()
def evaluate(
    bundle: Annotated[Path, typer.Argument(help="Bundle folder.")],
    cases: CaseFolders,
    *,
    held_out_only: Annotated[
        bool, typer.Option("--held-out-only", help="Only patients that validation held out.")
    ] = False,
    validation_fraction: Annotated[
        float, typer.Option(min=0, max=1, help="Share held out, as in the recipe.")
    ] = 0.2,
) -> None:
    """Measure a bundle on prepared cases: Dice and volume error with 95 % intervals.

    Intervals come from drawing patients, not scans. Prints one JSON object per cohort.

    Example: ichtrain segmentation evaluate pipeline/bundles/demo-segmentation
    --cases ~/prepared/simulated-test
    """
    import json

    import torch

    from pipeline.model_bundle import load_bundle
    from pipeline.segmentation.segmenter import load_segmenter
    from training.cohort.case import load_cases
    from training.cohort.split import in_validation
    from training.segmentation.evaluation import score_cases, summarise

    segmenter = load_segmenter(
        load_bundle(bundle, task="segmentation"), device=torch.device("cpu")
    )
    for folder in cases:
        chosen = [
            case
            for case in load_cases(folder)
            if not held_out_only or in_validation(case.patient_id, fraction=validation_fraction)
        ]
        summary = summarise(score_cases(segmenter, chosen))
        typer.echo(json.dumps({"cohort": folder.name, **summary}, indent=2))


@APP.command()
@told()
def release(
    weights: Annotated[Path, typer.Argument(help="average.pt of a training.")],
    recipe: Annotated[Path, typer.Option(help="Recipe that it was trained with.")],
    facts: Annotated[
        Path,
        typer.Option(
            help="JSON with name, version, training_cohort, metrics, licence, cutoff ..."
        ),
    ],
    output: Annotated[Path, typer.Option(help="Bundle folder; made if absent.")],
) -> None:
    """Write a bundle: weights in half precision with their card.

    Example: ichtrain segmentation release ~/runs/demo/average.pt
    --recipe config/training/demo_segmentation.toml --facts facts.json --output ~/bundle
    """
    import json

    import torch

    from training.release import release_segmentation
    from training.segmentation.recipe import read_recipe

    state = torch.load(weights, map_location="cpu", weights_only=True)
    bundle = release_segmentation(
        output, read_recipe(recipe), state, facts=json.loads(facts.read_text())
    )
    typer.echo(f"{output}: {bundle.digest}")
