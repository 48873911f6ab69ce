"""The command `ichtrain study`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from training.command_line import told

if TYPE_CHECKING:
    from collections.abc import Sequence

    from training.study.run import Planned
    from training.study.stage import StageResult, StudySettings

_Cohort = Annotated[Path, typer.Option(help="Folder that `ichtrain cohort import` wrote.")]
_Output = Annotated[Path, typer.Option(help="Folder of the study; called again, it goes on.")]
_Budget = Annotated[
    str,
    typer.Option(
        help="small (two cores, under an hour), full (as published, a GPU), or a file *.toml."
    ),
]
_Development = Annotated[
    str | None,
    typer.Option(help="Centre that everything is trained on; default the largest one."),
]
_Truth = Annotated[
    Path | None,
    typer.Option(help="Best possible AUC of a simulated cohort; default COHORT/truth.json."),
]
_Readers = Annotated[
    Path | None,
    typer.Option(help="Folder of a finished `ichtrain synthesis reader-study`."),
]
_Features = Annotated[
    Path | None,
    typer.Option(help="Inception weights for FID and IS; default the shipped classifier."),
]
_Initial = Annotated[
    Path | None, typer.Option(help="Weights that the classifiers start from, e.g. ImageNet's.")
]
_Stages = Annotated[
    str,
    typer.Option(
        help="all, or names separated by commas: flow, patients, benchmark, segmentation, "
        "slices, synthesis, readers, classification, growth."
    ),
]
_DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Say what would be done and why, and do nothing.")
]
_Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
_ForceCpu = Annotated[
    bool, typer.Option("--force-cpu", help="Take a budget that needs a GPU without one.")
]
_Threads = Annotated[int, typer.Option(min=1, help="CPU threads.")]


def study(  # noqa: PLR0913, PLR0917  one parameter for each option
    cohort: _Cohort,
    output: _Output,
    budget: _Budget = "small",
    development: _Development = None,
    truth: _Truth = None,
    readers: _Readers = None,
    features: _Features = None,
    initial: _Initial = None,
    stages: _Stages = "all",
    dry_run: _DryRun = False,  # noqa: FBT002  a flag
    device: _Device = "auto",
    force_cpu: _ForceCpu = False,  # noqa: FBT002  a flag
    threads: _Threads = 2,
) -> None:
    """Repeat the whole published study on a cohort and write one report of it.

    The largest centre is divided into training and validation patients; the other centres are
    external validation sets and never trained on. Stages: flow of patients, characteristics,
    benchmark of segmentation, full segmentation model, slices, synthetic slices, reader study
    (where answers exist), classifiers of three ratios. OUTPUT/report.html holds every number
    beside the published one. A stage whose inputs are the same is not done again, one that was
    interrupted goes on, one that cannot be done says why; if one fails the others go on and the
    exit status is 1. RESEARCH USE ONLY.

    Examples
    --------
      ichtrain study --cohort cohorts/ich --output runs/study --dry-run

      ichtrain study --cohort cohorts/ich --output runs/study --budget small

      ichtrain study --cohort cohorts/ich --output runs/study --stages flow,patients
    """
    import time

    import torch
    from rich.console import Console

    from training.study.progress_view import ProgressView
    from training.study.run import plan_study, run_study
    from training.study.stage import StageState
    from training.study.stages import STAGES, choose_stages

    torch.set_num_threads(threads)
    with told():
        chosen = choose_stages(stages)
        settings = _settings(
            cohort,
            budget,
            development=development,
            truth=truth,
            given=(readers, features, initial),
            device=device,
            force_cpu=force_cpu,
        )
        if dry_run:
            _tell_plan(plan_study(settings, STAGES, output, chosen=chosen), settings)
            return
        expected = settings.budget.budget.expected_minutes
        console = Console(stderr=True)
        with ProgressView(STAGES, expected, console, clock=time.perf_counter) as view:
            results = run_study(
                settings, STAGES, output, chosen=chosen, audience=view, clock=time.perf_counter
            )
        typer.echo(f"Report: {_report(output, settings, results)}")
    failed = [one.name for one in results if one.state is StageState.FAILED]
    if failed:
        typer.echo(f"Failed: {', '.join(failed)}; see failure.txt in their folders", err=True)
        raise typer.Exit(1)


def _settings(
    cohort: Path,
    budget: str,
    *,
    development: str | None,
    truth: Path | None,
    given: tuple[Path | None, Path | None, Path | None],
    device: str,
    force_cpu: bool,
) -> "StudySettings":
    """Return what the options mean.

    Raises
    ------
    ValueError
        If cohort or budget are faulty, a file is not there, or the budget needs a GPU.
    """
    from pipeline.models import choose_device
    from training.study.budget import read_budget
    from training.study.participants import TRUTH_FILE, read_participants
    from training.study.stage import StudySettings

    readers, features, initial = given
    for path in (truth, readers, features, initial):
        if path is not None and not path.exists():
            raise ValueError(f"{path} is not there")
    file = read_budget(budget)
    found = choose_device(device).type
    if file.budget.needs_gpu and found == "cpu" and not force_cpu:
        raise ValueError(
            f"Budget {file.budget.name} is made for a GPU, and there is none: on a CPU it would "
            "take weeks. --budget small is for a CPU; --force-cpu takes this one nevertheless"
        )
    return StudySettings(
        participants=read_participants(cohort, development=development),
        budget=file,
        device=found,
        readers=readers,
        features=features,
        initial=initial,
        truth=truth or cohort / TRUTH_FILE,
    )


def _tell_plan(plan: "Sequence[Planned]", settings: "StudySettings") -> None:
    from rich.console import Console
    from rich.table import Table

    expected = settings.budget.budget.expected_minutes
    table = Table("stage", "counterpart of", "would be", "why", "expected")
    for one in plan:
        minutes = expected.get(one.stage.name)
        table.add_row(
            one.stage.name,
            one.stage.shows,
            "run" if one.runs else "left",
            one.why,
            f"{minutes:g} min" if one.runs and minutes is not None else "",
        )
    people = settings.participants
    table.title = "; ".join(
        f"{people.title(role)}: {len(people.of_role(role))} patients" for role in people.roles
    )
    Console().print(table)


def _report(output: Path, settings: "StudySettings", results: "Sequence[StageResult]") -> Path:
    import datetime as dt

    from training.study.report import write_study_report
    from training.study.stages import STAGES
    from training.study.surroundings import surroundings

    return write_study_report(
        output,
        settings,
        STAGES,
        results,
        conditions=surroundings(settings),
        now=dt.datetime.now(dt.UTC),
    )
