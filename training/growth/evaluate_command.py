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
    from training.growth.arms import Arm
    from training.growth.evaluation import EVEN, judge_run, read_mask
    from training.growth.figures import draw_examples, draw_spread, typical_patients
    from training.growth.pair import load_pair, pair_path
    from training.growth.run import read_run
    from training.growth.table import TABLE, write_table

    torch.set_num_threads(threads)
    with told():
        found = read_run(run, pairs)
        started = [arm for arm in Arm if any(found.is_done(arm, fold) for fold in found.folds)]
        chosen = started if arms is None else named_arms(arms)
        if not chosen:
            raise ValueError(f"{run}: no training has ended yet")
        with bar() as shown:
            judged = judge_run(
                found,
                chosen,
                device=choose_device(device),
                on_patient=lambda done, total: shown.count(done, total, what="Forecasting"),
            )
        write_table(output, judged, about=about or f"Run {run.resolve().name}.")
        draw_spread(output / "spread.png", judged)
        shown_patients = typical_patients(judged[-2], count=4)
        masks = {
            way.name: [read_mask(found, Arm(way.name), one) for one in shown_patients]
            for way in judged
            if way.name != EVEN
        }
        examples = [load_pair(pair_path(pairs, one)) for one in shown_patients]
        draw_examples(output / "examples.png", examples, masks)
    typer.echo((output / TABLE).read_text(encoding="utf-8"))
