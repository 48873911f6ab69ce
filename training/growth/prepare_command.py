"""The command `ichtrain growth prepare`."""

from pathlib import Path
from typing import Annotated

import typer

from training.command_line import bar, told
from training.growth.command_options import Recipe

_Cohort = Annotated[
    Path, typer.Option(help="Folder that `ichtrain cohort import` or `ichtrain phantom` wrote.")
]
_Output = Annotated[Path, typer.Option(help="Folder of the pairs; made if absent.")]
_Greedy = Annotated[
    Path | None,
    typer.Option(
        help="The program greedy, to find the fields of made baselines as the paper did."
    ),
]


def prepare(
    cohort: _Cohort, output: _Output, recipe: Recipe = None, greedy: _Greedy = None
) -> None:
    """Bring baseline and follow-up scans onto one grid, and make shrunk baselines.

    The follow-up is aligned with the baseline (two rigid steps, one affine), the brain is cut
    out, and each baseline hematoma is made a little smaller five times; such synthetic baselines
    serve training only. Who does not take part stands in exclusions.csv. The same call again
    prepares only what is new.

    Examples
    --------
      ichtrain growth prepare --cohort cohort --output pairs

      ichtrain growth prepare --cohort cohort --output pairs
      --recipe config/training/growth_small.toml
    """
    from training.growth.deformable import by_demons, by_greedy
    from training.growth.followed import followed_of
    from training.growth.prepare import prepare_pairs
    from training.growth.recipe import GrowthRecipe, read_growth_recipe

    with told():
        choices = GrowthRecipe() if recipe is None else read_growth_recipe(recipe)
        patients = followed_of(cohort)
        with bar() as shown:
            done = 0

            def count() -> None:
                nonlocal done
                done += 1
                shown.count(done, len(patients), what="Preparing pairs")

            excluded = prepare_pairs(
                patients,
                output,
                choices.preparation,
                register_masks=by_demons if greedy is None else by_greedy(greedy),
                on_patient=count,
            )
    typer.echo(f"{len(patients) - len(excluded)} pairs in {output}, {len(excluded)} left out")
