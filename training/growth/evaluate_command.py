"""The command `ichtrain growth evaluate`."""

from pathlib import Path
from typing import Annotated

import typer

from training.command_line import bar, told
from training.growth.command_options import Device, Pairs, RunFolder, Threads, named_arms

_Output = Annotated[Path, typer.Option(help="Folder of table and figures; made if absent.")]
_Arms = Annotated[
    str | None,
    typer.Option(help="Which arms, the first as reference; default all that are trained."),
]
_About = Annotated[
    str, typer.Option(help="A sentence on the data, set above the table, such as SIMULATED.")
]


def evaluate(
    run: RunFolder,
    pairs: Pairs,
    output: _Output,
    arms: _Arms = None,
    about: _About = "",
    device: Device = "auto",
    threads: Threads = 2,
) -> None:
    """Judge the forecasts of the patients that each fold left out.

    Writes table.md (Dice of the growth, errors of the volume, paired t-tests, published values
    beside), table.json, scores.csv, spread.png and examples.png. Folds that not all arms have
    ended are left out, so it can be called while a training runs.

    Example
    -------
      ichtrain growth evaluate --run runs/small --pairs pairs --output runs/small/table
    """
    import torch

    from pipeline.models import choose_device
    from training.growth.report import write_report
    from training.growth.run import read_run
    from training.growth.table import TABLE

    torch.set_num_threads(threads)
    with told(), bar() as shown:
        write_report(
            read_run(run, pairs),
            None if arms is None else named_arms(arms),
            output,
            about=about or f"Run {run.resolve().name}.",
            device=choose_device(device),
            on_patient=lambda done, total: shown.count(done, total, what="Forecasting"),
        )
    typer.echo((output / TABLE).read_text(encoding="utf-8"))
