"""The command `ichtrain segmentation benchmark`."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    import torch

    from training.segmentation.benchmark.conditions import Conditions
    from training.segmentation.benchmark.contestant import Contestant
    from training.segmentation.benchmark.held_out import HeldOut
    from training.segmentation.benchmark.training_port import EqualTraining


def benchmark(  # noqa: PLR0913  each is an option of the command
    cohort: Annotated[
        list[Path],
        typer.Option(help="Folder of prepared cases to train on; may be given repeatedly."),
    ],
    output: Annotated[
        Path, typer.Option(help="Receives runs, tables and figures; called again, it goes on.")
    ],
    *,
    architectures: Annotated[
        str, typer.Option(help="all, none, or names separated by commas.")
    ] = "all",
    bundle: Annotated[
        list[str] | None,
        typer.Option(help="NAME=FOLDER of a bundle that takes part as it is; repeatedly."),
    ] = None,
    budget: Annotated[
        str,
        typer.Option(help="For each architecture, e.g. epochs=20,iterations=50 or minutes=30."),
    ] = "",
    experiment: Annotated[
        Path | None,
        typer.Option(help="Hyper-parameters for all, TOML; default those of the npj study."),
    ] = None,
    recipe: Annotated[
        list[str] | None,
        typer.Option(help="NAME=FILE for slex-net or compact, which have own optimisers."),
    ] = None,
    test: Annotated[
        list[Path] | None,
        typer.Option(help="Folder of other patients' cases to judge on; default: held-out part."),
    ] = None,
    test_patients: Annotated[
        int | None, typer.Option(min=1, help="Judge on at most so many patients.")
    ] = None,
    reference: Annotated[
        str, typer.Option(help="Whom the others are compared with, in pairs.")
    ] = "umamba-enc",
    seed: Annotated[int, typer.Option(help="Of weights, patches and bootstrap.")] = 1,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    threads: Annotated[int, typer.Option(min=1, help="CPU threads.")] = 2,
) -> None:
    """Train architectures alike and compare them on patients that none of them has seen.

    Same split, same hyper-parameters, same number of patches for everybody. Each bundle then
    segments the held-out scans by the way that the node takes. Writes benchmark.csv (a row per
    scan), summary.md, .csv and .json (means, 95 % intervals over patients, paired tests) and
    figures. A stopped benchmark goes on when called again with the same options; an architecture
    that fails is reported, the others go on, and the exit status is 1.

    Example, some minutes: ichtrain segmentation benchmark --cohort ~/prepared/simulated
    --architectures nnunet,compact --budget epochs=4,iterations=50
    --experiment config/training/benchmark_small.toml --output ~/runs/benchmark

    Example, only bundles that stand: ichtrain segmentation benchmark --cohort ~/prepared/clinic
    --architectures none --bundle shipped=pipeline/bundles/demo-segmentation
    --bundle blast=~/bundles/blast-ct --reference shipped --output ~/runs/bundles
    """
    import torch

    from pipeline.models import choose_device
    from training.cohort.folder import load_cohort
    from training.segmentation.architectures import ARCHITECTURES
    from training.segmentation.benchmark.conditions import conditions, keep_conditions
    from training.segmentation.benchmark.contestant import choose_contestants
    from training.segmentation.benchmark.hardware import describe_hardware
    from training.segmentation.benchmark.held_out import held_out_scans
    from training.segmentation.benchmark.training_port import (
        EqualTraining,
        parse_budget,
        read_recipes,
    )
    from training.segmentation.experiment import Experiment, read_experiment

    torch.set_num_threads(threads)
    chosen = choose_device(device)
    try:
        contestants = choose_contestants(architectures, bundle or (), known=ARCHITECTURES)
        training = EqualTraining(
            cohorts=tuple(cohort),
            experiment=read_experiment(experiment) if experiment else Experiment(),
            recipes=read_recipes(recipe or ()),
            budget=parse_budget(budget),
            seed=seed,
            device=str(chosen),
        )
        trained_on = load_cohort(cohort)
        held_out = held_out_scans(
            trained_on, load_cohort(test) if test else None, limit=test_patients
        )
        made = conditions(trained_on, held_out, training, hardware=describe_hardware(chosen))
        keep_conditions(output, made)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    if not _hold(
        contestants, training, held_out, made, output=output, device=chosen, reference=reference
    ):
        raise typer.Exit(1)


def _hold(
    contestants: "Sequence[Contestant]",
    training: "EqualTraining",
    held_out: "HeldOut",
    made: "Conditions",
    *,
    output: Path,
    device: "torch.device",
    reference: str,
) -> bool:
    """Hold the contest, write its report, and return whether every contestant came through."""
    import time

    from rich.console import Console

    from training.segmentation.benchmark.contest import run_contest
    from training.segmentation.benchmark.examination import Examiner
    from training.segmentation.benchmark.live_view import LiveView
    from training.segmentation.benchmark.report import write_report
    from training.segmentation.benchmark.tables import short_table

    console = Console()
    examiner = Examiner(scans=held_out.scans, device=device, clock=time.perf_counter)
    with LiveView(len(contestants), console) as view:
        finished, failed = run_contest(
            contestants, training, examiner, output=output, audience=view
        )
    summaries = write_report(
        output, finished, failed, held_out, conditions=made, reference=reference
    )
    console.print(short_table(summaries, title=held_out.describe()))
    console.print(f"Everything else: {output / 'summary.md'}", markup=False)
    return not failed
