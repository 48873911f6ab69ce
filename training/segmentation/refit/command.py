"""The command `ichtrain segmentation refit`."""

from pathlib import Path
from typing import Annotated

import typer

from training.command_line import bar, told


def refit(
    bundle: Annotated[Path, typer.Argument(help="Bundle with one BLAST-CT network.")],
    cases: Annotated[
        list[Path],
        typer.Option("--cases", help="Folder of prepared cases; may be given repeatedly."),
    ],
    output: Annotated[Path, typer.Option(help="Folder of the run; its bundle is in it.")],
    *,
    recipe: Annotated[
        Path | None, typer.Option(help="TOML of the refit; default: every field's default.")
    ] = None,
    facts: Annotated[
        Path | None,
        typer.Option(help="JSON with name, version, licence, intended_use ... for the card."),
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads.")] = 2,
) -> None:
    """Fit the last layers of a published network to your own patients.

    What the network's pathways see stays as its authors trained it on real patients; the three
    layers that turn it into classes learn your scanners and your disease, in a minute per scan
    on a CPU. Only training patients are read. Ctrl-C loses at most one scan.

    Example: ichtrain segmentation refit ~/bundles/blast-ct-3 --cases ~/cohorts/ich
    --output ~/runs/refit
    """
    import json

    import torch

    from pipeline.model_bundle import load_bundle
    from training.segmentation.refit.frozen import FrozenPathways
    from training.segmentation.refit.recipe import RefitRecipe, read_refit_recipe
    from training.segmentation.refit.refit import (
        check_facts,
        look_at_scans,
        refit_bundle,
        training_scans,
    )

    torch.set_num_threads(threads)
    with told(), bar() as shown:
        plan = read_refit_recipe(recipe) if recipe else RefitRecipe()
        said = json.loads(facts.read_text()) if facts else {}
        check_facts(said)
        published = load_bundle(bundle, task="segmentation")
        voxels = look_at_scans(
            training_scans(cases, plan),
            FrozenPathways(published),
            plan,
            folder=output / "voxels",
            on_part=lambda name, done, of: shown.count(done, of, what=name),
        )
        made = refit_bundle(
            published,
            voxels,
            plan,
            output=output / "bundle",
            facts=said,
            on_step=lambda step, loss: shown.count(
                step, plan.steps, what=f"Fitting, loss {loss:.3f}, step"
            ),
        )
    typer.echo(f"{output / 'bundle'}: {made.digest}")
