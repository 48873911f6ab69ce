"""The command `ichtrain synthesis sample`."""

from pathlib import Path
from typing import Annotated

import typer

from training.command_line import bar, told


def sample(  # noqa: PLR0913, PLR0917  one parameter for each option
    generator: Annotated[
        Path, typer.Option(help="Folder of a generator, e.g. runs/synthesis/generator.")
    ],
    triplets: Annotated[
        list[Path],
        typer.Option("--triplets", help="Folder of the real triplets; may be repeated."),
    ],
    output: Annotated[Path, typer.Option(help="Folder of the augmented set; made if absent.")],
    ratio: Annotated[
        str, typer.Option(help="HE:NHE slices in the end; 1:1 and 1:2 are the paper's.")
    ] = "1:2",
    split: Annotated[
        Path | None, typer.Option(help="The split that the generator was trained with.")
    ] = None,
    sampler: Annotated[
        str, typer.Option(help="dpm-solver (30 steps), ddim (50) or ddpm (all).")
    ] = "dpm-solver",
    steps: Annotated[int | None, typer.Option(min=2, help="In place of the usual.")] = None,
    guidance: Annotated[
        float, typer.Option(min=0, help="Stress on the class, for a conditional generator.")
    ] = 0.0,
    seed: Annotated[int, typer.Option(min=0, help="Of the set.")] = 0,
    grain: Annotated[  # noqa: FBT002  a flag
        bool, typer.Option(help="Give images the grain that real slices have at native size.")
    ] = True,
    batch: Annotated[int, typer.Option(min=1, help="Images drawn at once.")] = 16,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    threads: Annotated[int, typer.Option(min=1, help="CPU threads.")] = 2,
) -> None:
    """Draw the synthetic HE slices that bring the training patients to a ratio.

    The images have the sizes, grey levels and files of real slices; manifest.json and
    images.csv mark every one as synthetic, with seed and generator. They are for training
    alone: a split that holds out one of the generator's patients is refused. Interrupted, the
    same call goes on.

    Example: ichtrain synthesis sample --generator runs/synthesis/generator
    --triplets prepared/triplets --ratio 1:2 --output prepared/semibalanced
    """
    import torch

    from pipeline.models import choose_device
    from training.synthesis.augmented_set import parse_ratio, write_augmented_set
    from training.synthesis.drawing import DrawingOptions
    from training.synthesis.generator import load_generator
    from training.synthesis.samplers import Sampler
    from training.synthesis.triplet_files import find_triplets, split_of

    torch.set_num_threads(threads)
    with told(), bar() as shown:
        found = find_triplets(triplets)
        manifest = write_augmented_set(
            load_generator(generator, device=choose_device(device)),
            found,
            split_of(found, triplets, given=split),
            ratio=parse_ratio(ratio),
            output=output,
            options=DrawingOptions(sampler=Sampler(sampler), steps=steps, guidance=guidance),
            seed=seed,
            grain=grain,
            batch_size=batch,
            on_progress=lambda done, total: shown.count(done, total, what="Drawing"),
        )
    typer.echo(
        f"{manifest.synthetic_he} synthetic HE slices beside {manifest.real_he} real HE and "
        f"{manifest.real_nhe} NHE: {manifest.ratio} in {output}"
    )
