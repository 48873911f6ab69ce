"""The commands `ichtrain synthesis train` and `ichtrain synthesis import`."""

from pathlib import Path
from typing import Annotated

import typer

from training.command_line import bar, told

_Triplets = Annotated[
    list[Path],
    typer.Option("--triplets", help="Folder of triplets; may be given repeatedly."),
]
_Output = Annotated[Path, typer.Option(help="Folder of the run; made if absent.")]
_Recipe = Annotated[
    Path | None,
    typer.Option(
        help="TOML; default the npj study's, config/training/synthesis.toml. "
        "synthesis_small.toml is for a CPU."
    ),
]
_Split = Annotated[
    Path | None,
    typer.Option(
        help="JSON with the patients in train, validation and test. Default: splits.json beside "
        "the triplets, else a hash sets every fifth patient aside."
    ),
]
_Size = Annotated[int | None, typer.Option(min=8, help="Pixels, in place of the recipe's.")]
_Epochs = Annotated[int | None, typer.Option(min=1, help="In place of the recipe's.")]
_Minutes = Annotated[
    float | None, typer.Option(min=0, help="End after this time, earlier runs included.")
]
_Seed = Annotated[int | None, typer.Option(min=0, help="In place of the recipe's.")]
_Conditional = Annotated[
    bool, typer.Option("--class-conditional", help="Learn HE and NHE with their class.")
]
_Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
_Threads = Annotated[int, typer.Option(min=1, help="CPU threads.")]


def train(  # noqa: PLR0913, PLR0917  one parameter for each option
    triplets: _Triplets,
    output: _Output,
    recipe: _Recipe = None,
    split: _Split = None,
    size: _Size = None,
    epochs: _Epochs = None,
    minutes: _Minutes = None,
    seed: _Seed = None,
    conditional: _Conditional = False,  # noqa: FBT002  Typer makes the flag from it
    device: _Device = "auto",
    threads: _Threads = 2,
) -> None:
    """Train the diffusion U-KAN; the same call again goes on where it stopped.

    It learns from the slices of training patients whose hematoma expanded, and from nobody
    else: files of validation and test patients are not opened for their images. OUTPUT then
    holds generator/, sheets/ with samples of the same 16 seeds, and log.csv. Ctrl-C loses at
    most the steps since the last checkpoint.

    Examples
    --------
      ichtrain synthesis train --triplets prepared/triplets --output runs/synthesis

      ichtrain synthesis train --triplets prepared/triplets --output runs/small
      --recipe config/training/synthesis_small.toml --minutes 15
    """
    import dataclasses

    import torch

    from pipeline.models import choose_device
    from training.synthesis.recipe import SynthesisRecipe, read_synthesis_recipe
    from training.synthesis.training_run import train_generator

    torch.set_num_threads(threads)
    with told(), bar() as shown:
        values = read_synthesis_recipe(recipe) if recipe else SynthesisRecipe()
        wanted = {"image_size": size, "seed": seed, "class_conditional": conditional or None}
        lengths = {"epochs": epochs, "limit_minutes": minutes}
        given = {name: one for name, one in lengths.items() if one is not None}
        course = dataclasses.replace(values.course, **given)  # type: ignore[arg-type]  # None is filtered out above
        changes = {name: one for name, one in wanted.items() if one is not None}
        card = train_generator(
            triplets,
            dataclasses.replace(values, course=course, **changes),  # type: ignore[arg-type]  # likewise
            output=output,
            split=split,
            device=choose_device(device),
            on_case=shown.count,
            on_progress=lambda now: shown.follow(
                f"epoch {now.epoch}/{now.epochs} loss {now.loss:.4f}", now.share
            ),
        )
    facts = card.training
    typer.echo(
        f"{card.name}: {facts['epochs']} epochs, {facts['steps']} steps on {facts['slices']} "
        f"slices of {facts['patients']} patients, {facts['minutes']} min\n"
        f"Generator: {output / 'generator'}"
    )


def import_checkpoint(
    checkpoint: Annotated[Path, typer.Argument(help="Weights saved by the released code, *.pt.")],
    output: Annotated[Path, typer.Option(help="Folder of the generator; made if absent.")],
    size: Annotated[int, typer.Option(min=32, help="Pixels that it was trained with.")] = 64,
) -> None:
    """Make a generator of a checkpoint of the released Diffusion U-KAN.

    Nothing but tensors is read from the file. Whom it was trained on is not known, so its
    images cannot be kept from meeting their teachers.

    Example: ichtrain synthesis import released_models/ukan_cvc.pt --output generators/cvc
    """
    from training.synthesis.generator import import_released

    with told():
        card = import_released(checkpoint, output, image_size=size)
    typer.echo(f"{card.name}: {card.weights_sha256[:12]} in {output}")
