"""The command `ichtrain segmentation train`."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from training.command_line import bar, told

if TYPE_CHECKING:
    import torch

    from training.segmentation.experiment import Budget, Experiment
    from training.segmentation.ranks import Ranks
    from training.segmentation.recipe import Recipe
    from training.segmentation.run_result import RunProgress
    from training.segmentation.slex.recipe import SlexRecipe

_COUNT = 3

#: What is trained where neither --architecture nor the experiment's file says it: the paper's.
_DEFAULT = "umamba-enc"

_Recipe = Annotated[Path | None, typer.Argument(metavar="[EXPERIMENT]", hidden=True)]
_Cohorts = Annotated[
    list[Path],
    typer.Option(
        "--cohort",
        "--cases",
        help="Folder of `ichtrain cohort import` or of prepared cases; may be given repeatedly.",
    ),
]
_Output = Annotated[Path, typer.Option(help="Folder of the run; made if absent.")]
_Architecture = Annotated[
    str | None,
    typer.Option(
        help="umamba-enc (the paper's choice), umamba-bot, nnunet, nnunet-resenc, nnformer, "
        "unetr-plus-plus, slex-net or compact. Default: the experiment's, else umamba-enc."
    ),
]
_Experiment = Annotated[
    Path | None,
    typer.Option(
        help="TOML with hyper-parameters; default those of the npj study, which stand in "
        "config/training/npj_segmentation.toml. compact and slex-net may have their own recipes."
    ),
]
_Epochs = Annotated[int | None, typer.Option(min=1, help="In place of the experiment's.")]
_Iterations = Annotated[
    int | None, typer.Option(min=1, help="Steps in an epoch, in place of the experiment's.")
]
_Validation = Annotated[
    int | None, typer.Option(min=1, help="Validation batches in an epoch, likewise.")
]
_Minutes = Annotated[
    float | None, typer.Option(min=0, help="End after this time, earlier runs included.")
]
_Patch = Annotated[
    str | None, typer.Option(help="Patch in voxels, z,y,x; e.g. 8,64,64 for a trial on a CPU.")
]
_Spacing = Annotated[
    str | None, typer.Option(help="Grid in mm, z,y,x; e.g. 5,2,2 for a trial on a CPU.")
]
_Width = Annotated[int | None, typer.Option(min=1, help="Channels of the first stage.")]
_Batch = Annotated[int | None, typer.Option(min=1, help="Patches in a step.")]
_Recompute = Annotated[
    bool,
    typer.Option(
        "--recompute",
        help="Compute activations again on the way back: far less memory, slower steps.",
    ),
]
_Seed = Annotated[int, typer.Option(min=0, help="Of weights and augmentation.")]
_Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
_Threads = Annotated[int, typer.Option(min=1, help="CPU threads.")]


def train(  # noqa: PLR0913, PLR0917  one parameter for each option
    cohort: _Cohorts,
    output: _Output,
    recipe: _Recipe = None,
    architecture: _Architecture = None,
    experiment: _Experiment = None,
    epochs: _Epochs = None,
    iterations: _Iterations = None,
    validation_iterations: _Validation = None,
    minutes: _Minutes = None,
    patch: _Patch = None,
    spacing: _Spacing = None,
    width: _Width = None,
    batch: _Batch = None,
    recompute: _Recompute = False,  # noqa: FBT002  a flag
    seed: _Seed = 1,
    device: _Device = "auto",
    threads: _Threads = 2,
) -> None:
    """Train a segmentation network; the same call again goes on where it stopped.

    The network sees the cohort's training patients, validation patients guide, test patients
    stay unread. U-Mamba, nnU-Net, nnFormer and UNETR++ train in nnU-Net v2's loop, slex-net by
    its own recipe, compact in a light loop for a CPU. The run's folder then holds run.json,
    weights.safetensors, the curves (curves.csv and curves.png, or log.csv) and a draft bundle;
    `ichtrain release` makes the bundle that others get. Ctrl-C loses at most one epoch.
    Several processes may train compact (torchrun); schedule.batch_size counts their patches.

    Examples
    --------
      ichtrain segmentation train --architecture umamba-enc --cohort ich --output runs/umamba

      ichtrain segmentation train --architecture nnunet --cohort ich --output runs/trial
      --spacing 5,2,2 --patch 8,64,64 --width 8 --epochs 2 --iterations 10

      ichtrain segmentation train --experiment config/training/demo_segmentation.toml
      --cohort prepared/simulated --cohort prepared/phe-sich --output runs/compact
    """
    import torch

    from pipeline.kept_memory import keep_freed_memory
    from training.segmentation.run import train_architecture

    torch.set_num_threads(threads)
    keep_freed_memory()
    changes: dict[str, Any] = {"spacing_zyx_mm": spacing, "patch_size_zyx": patch}
    changes |= {"width": width, "batch_size": batch, "recompute": recompute or None}
    lengths = {"epochs": epochs, "iterations": iterations, "minutes": minutes}
    with told(), _joined(device) as (own, ranks):
        name, values = _read(experiment or recipe, architecture)
        values = _changed(values, changes, name)
        budget = _budget({**lengths, "validation_iterations": validation_iterations})
        with bar(shown=ranks.leads) as shown:
            result = train_architecture(
                name,
                cohort=cohort,
                output=output,
                experiment=values,
                budget=budget,
                seed=seed,
                device=str(own),
                on_preparation=lambda what, done, total: shown.count(done, total, what=what),
                on_progress=lambda now: shown.follow(_state(now), now.share),
                ranks=ranks,
            )
    if not ranks.leads:
        return
    typer.echo(
        f"{result.architecture}: {result.parameters / 1e6:.2f} M parameters, "
        f"{result.epochs} epochs, {result.iterations} steps, {result.seconds / 60:.1f} min, "
        f"{result.peak_memory_mb / 1000:.1f} GB at most\nBundle: {result.bundle}"
    )


@contextmanager
def _joined(device: str) -> Iterator[tuple["torch.device", "Ranks"]]:
    """Meet the other processes, if there are any; yields this one's device and who it is."""
    from pipeline.models import choose_device
    from training.segmentation.ranks import joined, own_device

    own = own_device(choose_device(device), os.environ)
    with joined(os.environ, own) as ranks:
        yield own, ranks


def _read(
    path: Path | None, architecture: str | None
) -> tuple[str, "Experiment | Recipe | SlexRecipe | None"]:
    """Return the architecture's name and what a file says, read as its loop wants it."""
    from training.recipe_file import read_toml
    from training.segmentation.architectures import Loop, network_of
    from training.segmentation.architectures import architecture as row_of
    from training.segmentation.experiment import read_experiment
    from training.segmentation.recipe import read_recipe

    if path is None:
        row_of(architecture or _DEFAULT)
        return architecture or _DEFAULT, None
    if not path.exists():
        raise ValueError(f"{path} does not exist")
    content = read_toml(path)
    named = content.get("architecture")
    name = architecture or (network_of(named) if named else _DEFAULT)
    row = row_of(name)
    if named is not None and row.registry_name != named:
        raise ValueError(f"{path} is for {named}, asked for is {name}")
    if row.loop is Loop.LIGHT and named is not None:
        return name, read_recipe(path)
    if row.loop is Loop.SLEX and "schedule" in content:
        from training.segmentation.slex.recipe import read_slex_recipe

        return name, read_slex_recipe(path)
    return name, read_experiment(path)


def _changed(
    values: "Experiment | Recipe | SlexRecipe | None", changes: dict[str, Any], name: str
) -> "Experiment | Recipe | SlexRecipe | None":
    """Return the experiment with what the options change."""
    import dataclasses

    from training.segmentation.experiment import Experiment

    wanted = {key: value for key, value in changes.items() if value is not None}
    if not wanted:
        return values
    if values is not None and not isinstance(values, Experiment):
        raise ValueError(f"The recipe of {name} fixes --{', --'.join(wanted)}; edit the file")
    if "spacing_zyx_mm" in wanted:
        wanted["spacing_zyx_mm"] = _three(wanted["spacing_zyx_mm"], float, "--spacing")
    if "patch_size_zyx" in wanted:
        wanted["patch_size_zyx"] = _three(wanted["patch_size_zyx"], int, "--patch")
    return dataclasses.replace(values or Experiment(), **wanted)


def _three(text: str, kind: type[Any], option: str) -> tuple[Any, ...]:
    parts = text.split(",")
    try:
        values = tuple(kind(part) for part in parts)
    except ValueError as error:
        raise ValueError(f"{option} needs three numbers such as 5,1,1, got {text!r}") from error
    if len(values) != _COUNT:
        raise ValueError(f"{option} needs three numbers such as 5,1,1, got {text!r}")
    return values


def _budget(limits: dict[str, Any]) -> "Budget":
    from training.segmentation.experiment import Budget

    return Budget(**limits)


def _state(now: "RunProgress") -> str:
    """Return how far a training is, in words."""
    dice = "" if now.pseudo_dice is None else f" Dice {now.pseudo_dice:.3f}"
    return f"epoch {now.epoch}/{now.epochs} loss {now.loss:.3f}{dice}"
