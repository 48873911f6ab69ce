"""The command `ichtrain growth release`."""

from pathlib import Path
from typing import Annotated

import typer

from training.command_line import told
from training.growth.command_options import Device, Pairs, RunFolder, Threads, named_arms

_Output = Annotated[Path, typer.Option(help="Bundle folder; made if absent.")]
_Arm = Annotated[str, typer.Option(help="Which arm's network.")]
_Facts = Annotated[
    Path,
    typer.Option(
        help="JSON with name, version, licence, intended_use, demonstration and, where you like, "
        "training_cohort and metrics."
    ),
]


def release(
    run: RunFolder,
    pairs: Pairs,
    output: _Output,
    facts: _Facts,
    arm: _Arm = "synthesis",
    device: Device = "auto",
    threads: Threads = 2,
) -> None:
    """Turn the network that was trained on everybody into a bundle.

    Its range of the forecast volume comes from the patients that the folds left out; fewer than
    19 give none.

    Example
    -------
      ichtrain growth release --run runs/growth --pairs pairs --output bundles/growth
      --facts facts.json
    """
    import json

    import torch

    from pipeline.models import choose_device
    from training.growth.evaluation import judge_run
    from training.growth.release import release_growth
    from training.growth.run import read_run

    torch.set_num_threads(threads)
    with told():
        chosen = named_arms(arm)
        if len(chosen) != 1:
            raise ValueError(f"One arm is released, got {arm}")
        found = read_run(run, pairs)
        known = json.loads(facts.read_text())
        scores = judge_run(found, chosen, device=choose_device(device))[0].scores
        bundle = release_growth(found, chosen[0], output, scores=scores, facts=known)
    typer.echo(f"{output}: {bundle.digest}")
