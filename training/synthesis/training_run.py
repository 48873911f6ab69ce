"""One call from triplets to a generator."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from training.synthesis.drawing import DrawingOptions, draw
from training.synthesis.generator import Generator, GeneratorCard, save_generator
from training.synthesis.learning_slices import LearningSlices, read_learning_slices
from training.synthesis.recipe import SynthesisRecipe
from training.synthesis.sample_sheet import to_grey, write_sheet
from training.synthesis.trainer import DiffusionProgress, DiffusionTrainer
from training.synthesis.triplet_files import find_triplets, split_of
from training.synthesis.ukan import UKanDiffusion

GENERATOR_FOLDER, SHEETS_FOLDER = "generator", "sheets"

#: Images on a sheet while training; their seeds are 0 to 15, so that sheets can be compared.
SHEET_IMAGES, SHEET_COLUMNS = 16, 8


def train_generator(
    triplets: Sequence[Path],
    recipe: SynthesisRecipe,
    *,
    output: Path,
    split: Path | None = None,
    device: torch.device,
    on_case: Callable[[int, int], None] = lambda *_: None,
    on_progress: Callable[[DiffusionProgress], None] = lambda _: None,
) -> GeneratorCard:
    """Return the card of the generator that the recipe makes of a cohort's training patients.

    The folder then holds ``generator/``, ``sheets/``, ``log.csv`` and the checkpoint from which
    the same call goes on.

    Parameters
    ----------
    triplets : sequence of Path
        Folders of triplets.
    recipe : SynthesisRecipe
        Every choice.
    output : Path
        Folder of the run.
    split : Path, optional
        JSON with ``train``, ``validation`` and ``test``; else as `split_of` says.
    device : torch.device
        Where the network learns.
    on_case, on_progress : callable
        Told of every case that is read and of every step.

    Raises
    ------
    ValueError
        If there is nothing to learn from, or the folder holds another training.
    """
    found = find_triplets(triplets)
    slices = read_learning_slices(
        found,
        split_of(found, triplets, given=split),
        image_size=recipe.image_size,
        both_classes=recipe.class_conditional,
        on_case=on_case,
    )
    trainer = DiffusionTrainer(recipe, slices, folder=output, device=device)
    card = GeneratorCard(
        name=recipe.name,
        network=recipe.network_arguments,
        image_size=recipe.image_size,
        noise=recipe.noise,
        target=recipe.target,
        learnt_from=slices.fingerprints,
    )
    columns = min(SHEET_COLUMNS, len(slices))
    _learnt_sheet(output, slices, columns)

    def sheet(network: UKanDiffusion, epoch: int) -> None:
        images = draw(
            Generator(card=card, network=network),
            range(SHEET_IMAGES),
            options=DrawingOptions(),
        )
        write_sheet(output / SHEETS_FOLDER / f"epoch_{epoch:05d}.png", list(to_grey(images)))

    trainer.run(on_progress=on_progress, on_sheet=sheet)
    facts = {
        "slices": len(slices),
        "patients": len(slices.fingerprints),
        "epochs": trainer.epoch,
        "steps": trainer.step,
        "minutes": round(trainer.seconds / 60, 1),
        "seed": recipe.seed,
    }
    return save_generator(
        output / GENERATOR_FOLDER,
        dataclasses.replace(card, training=facts),
        trainer.average.state_dict(),
    )


def _learnt_sheet(output: Path, slices: LearningSlices, columns: int) -> None:
    """Write real slices beside which the others are looked at."""
    step = max(len(slices) // SHEET_IMAGES, 1)
    images = slices.images[::step][:SHEET_IMAGES]
    write_sheet(output / SHEETS_FOLDER / "real.png", list(to_grey(images)), columns=columns)
