"""The command `ichtrain classification experiments`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from training.classification.command_options import (
    BundleVersion,
    CohortName,
    Device,
    Initial,
    Recipe,
    SplitFile,
    Threads,
    TripletFolders,
)
from training.command_line import bar, told

_Ratios = Annotated[
    str, typer.Option(help="Ratios of HE to NHE slices; none for the real ones as they are.")
]
_Synthetic = Annotated[
    list[Path] | None,
    typer.Option(help="Set that `ichtrain synthesis sample` wrote; may be given repeatedly."),
]
_External = Annotated[
    list[str] | None,
    typer.Option(help="NAME=FOLDER of triplets to judge on; may be given repeatedly."),
]


def experiments(  # noqa: PLR0913, PLR0917  one parameter for each option
    recipe: Recipe,
    triplets: TripletFolders,
    output: Annotated[Path, typer.Option(help="Folder of all results; made if absent.")],
    ratios: _Ratios = "none,1:1,1:2,1:4",
    synthetic: _Synthetic = None,
    external: _External = None,
    split: SplitFile = None,
    initial: Initial = None,
    cohort_name: CohortName = None,
    bundle_version: BundleVersion = "1",
    device: Device = "auto",
    threads: Threads = 1,
) -> None:
    """Fit one classifier for each ratio and compare them on the same patients.

    The patients are divided by --split, by splits.json beside the triplets, or by a hash of the
    identifier, as `ichtrain synthesis` does with the same folders and a fifth set aside.
    Synthetic slices only ever enter training. A ratio that the real slices reach by themselves
    needs no set. OUTPUT gets a folder for each ratio (bundle, curves), one for each set of
    patients (ROC curves with bands, measures, confusion matrices, reliability, decision curves)
    and experiments.json with DeLong's tests. The same call again goes on where it stopped.

    Examples
    --------
      ichtrain classification experiments --recipe config/training/npj_classification.toml
      --triplets train/ --ratios none,1:2 --synthetic sets/1-2 --external centre-4=c4/
      --output runs/ratios
    """
    import torch

    from pipeline.models import choose_device
    from training.classification.case import load_cases
    from training.classification.experiments import ExperimentPlan, run_experiments
    from training.classification.fitting import EpochRecord
    from training.classification.initial_weights import find_initial_weights
    from training.classification.recipe import read_recipe, with_natural_draw
    from training.classification.split import divide

    torch.set_num_threads(threads)
    with told():
        choices = read_recipe(recipe)
        if choices.balance.he_share:
            typer.echo("Every slice is taken once an epoch, whatever he_share says: ratios count")
            choices = with_natural_draw(choices)
        plan = ExperimentPlan(
            recipe=choices,
            split=divide(
                load_cases(triplets),
                triplets,
                given=split,
                validation_share=choices.validation_share,
                seed=None,
            ),
            ratios=tuple(one.strip() for one in ratios.split(",")),
            synthetic=tuple(synthetic or ()),
            judged={name: load_cases([folder]) for name, folder in _named(external or [])},
            initial=find_initial_weights(initial, choices.network.architecture),
            cohort=cohort_name,
            device=choose_device(device),
        )
        with bar() as shown:

            def tell(ratio: str, record: EpochRecord) -> None:
                words = f"{ratio}: validation AUC {record.validation_auc:.3f}, epoch"
                shown.count(record.epoch, choices.schedule.epochs, what=words)

            record = run_experiments(plan, output=output, version=bundle_version, on_epoch=tell)
        _echo_areas(record)


def _echo_areas(record: dict[str, Any]) -> None:
    for name, found in record["sets"].items():
        for classifier, scores in found["scores"].items():
            area = scores["auc"]
            typer.echo(
                f"{name}: {classifier} AUC {area['value']:.3f} "
                f"({area['low_95']:.3f}-{area['high_95']:.3f})"
            )


def _named(pairs: list[str]) -> list[tuple[str, Path]]:
    """Return names and folders.

    Raises
    ------
    ValueError
        If a pair has no name or a name comes twice.
    """
    found: dict[str, Path] = {}
    for pair in pairs:
        name, _, folder = pair.partition("=")
        if not name or not folder or name in {*found, "validation"}:
            raise ValueError(f"--external wants NAME=FOLDER, each name once, got {pair!r}")
        found[name] = Path(folder)
    return list(found.items())
