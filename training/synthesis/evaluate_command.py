"""The commands `ichtrain synthesis evaluate` and `ichtrain synthesis samplers`."""

from pathlib import Path
from typing import Annotated

import typer

from training.command_line import bar, told

_Triplets = Annotated[
    list[Path],
    typer.Option("--triplets", help="Folder of the real triplets; may be repeated."),
]
_Split = Annotated[
    Path | None, typer.Option(help="The split that the generator was trained with.")
]
_Features = Annotated[
    Path | None,
    typer.Option(
        help="Inception weights (pt_inception-2015-12-05*.pth or torchvision's), or the bundle of "
        "a classifier. Default: the built-in classifier, said so beside every number."
    ),
]
_Threads = Annotated[int, typer.Option(min=1, help="CPU threads.")]

#: Bundle whose features are taken where no network is named.
_BUILTIN = "demo-classification"


def evaluate(
    augmented: Annotated[Path, typer.Option("--set", help="Folder of `synthesis sample`.")],
    triplets: _Triplets,
    output: Annotated[Path, typer.Option(help="Folder of the report; made if absent.")],
    split: _Split = None,
    features: _Features = None,
    seed: Annotated[int, typer.Option(min=0, help="Of subsets and probes.")] = 0,
    threads: _Threads = 2,
) -> None:
    """Judge a synthetic set: FID, KID, IS, copies, and whether a probe tells it from real.

    The real slices are the training patients' HE slices, as the generator learnt them. A probe's
    AUC near 0.5 is the aim; near 1 the set would teach a classifier to find synthetic images.

    Example: ichtrain synthesis evaluate --set prepared/semibalanced
    --triplets prepared/triplets --features pt_inception-2015-12-05.pth --output quality
    """
    import torch
    from rich.console import Console
    from rich.table import Table

    from pipeline.model_bundle import builtin_bundle_path
    from pipeline.prediction import HeLabel
    from training.cohort.patient_split import Part
    from training.synthesis.augmented_set import read_synthetic_cases
    from training.synthesis.quality.features import load_features
    from training.synthesis.quality.report import judge, table_of, write_report
    from training.synthesis.triplet_files import find_triplets, of_part, split_of

    torch.set_num_threads(threads)
    with told(), Console(stderr=True).status("Judging") as status:
        found = find_triplets(triplets)
        training = of_part(found, split_of(found, triplets, given=split), Part.TRAIN)
        cases = [one for one in training if one.label is HeLabel.HE]
        pairs = [(one.patient_id, image) for one in cases for image in one.images_yx()]
        real = [image for _, image in pairs]
        synthetic = [image for case in read_synthetic_cases(augmented) for image in case.images_yx]
        quality, memorised = judge(
            synthetic,
            real,
            patients=[patient for patient, _ in pairs],
            network=load_features(features or builtin_bundle_path(_BUILTIN)),
            seed=seed,
            on_stage=lambda stage: status.update(f"Judging: {stage}"),
        )
        write_report(output, quality, memorised, synthetic=synthetic, real=real)
    table = Table("measure", "value", title="In brackets: what real slices show, or the aim")
    for name, value in table_of(quality):
        table.add_row(name, str(value))
    Console().print(table)


def samplers(  # noqa: PLR0913, PLR0917  one parameter for each option
    generator: Annotated[Path, typer.Option(help="Folder of a generator.")],
    triplets: _Triplets,
    split: _Split = None,
    features: _Features = None,
    count: Annotated[int, typer.Option(min=2, help="Images of each sampler.")] = 64,
    steps: Annotated[
        list[int] | None,
        typer.Option(
            "--steps",
            min=2,
            help="Of the fast samplers; may be repeated. Default: 10, 20, 30, 50.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Base of the seeds.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    threads: _Threads = 2,
) -> None:
    """Compare the samplers: all steps against few, by distances to real slices and by time.

    Example: ichtrain synthesis samplers --generator runs/synthesis/generator
    --triplets prepared/triplets
    """
    import torch
    from rich.console import Console
    from rich.table import Table

    from pipeline.model_bundle import builtin_bundle_path
    from pipeline.models import choose_device
    from training.synthesis.generator import load_generator
    from training.synthesis.learning_slices import read_learning_slices
    from training.synthesis.quality.features import load_features
    from training.synthesis.quality.sampler_contest import FEW_STEPS, compare_samplers
    from training.synthesis.sample_sheet import to_grey
    from training.synthesis.triplet_files import find_triplets, split_of

    torch.set_num_threads(threads)
    with told(), bar() as shown:
        loaded = load_generator(generator, device=choose_device(device))
        found = find_triplets(triplets)
        slices = read_learning_slices(
            found,
            split_of(found, triplets, given=split),
            image_size=loaded.card.image_size,
        )
        network = load_features(features or builtin_bundle_path(_BUILTIN))
        results = compare_samplers(
            loaded,
            list(to_grey(slices.images)),
            network=network,
            count=count,
            steps=steps or FEW_STEPS,
            seed=seed,
            on_progress=lambda name, done, total: shown.count(done, total, what=name),
        )
    table = Table("sampler", "steps", "s/image", "Frechet", "kernel", "kernel to all steps")
    for one in results:
        table.add_row(
            str(one.sampler),
            str(one.steps),
            f"{one.seconds_each:.2f}",
            f"{one.frechet:.3f}",
            f"{one.kernel.mean:.4f} ± {one.kernel.sd:.4f}",
            f"{one.kernel_to_all_steps.mean:.4f} ± {one.kernel_to_all_steps.sd:.4f}",
        )
    table.title = f"{count} images each, by {network.name}"
    Console().print(table)
