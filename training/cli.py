"""The command line `ichtrain`: each room brings its own commands."""

import typer

from training.classification.command import APP as CLASSIFICATION
from training.cohort.command import APP as COHORT
from training.growth.command import APP as GROWTH
from training.phantom.command import phantom
from training.release_command import release
from training.segmentation.command import APP as SEGMENTATION
from training.study.command import study
from training.synthesis.command import APP as SYNTHESIS


def application() -> typer.Typer:
    """Return the command line with the commands of every room."""
    app = typer.Typer(
        help="Simulate heads, train the networks of ichnode and release them as bundles.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_show_locals=False,
    )
    app.command("phantom")(phantom)
    app.command("release")(release)
    app.command("study")(study)
    app.add_typer(COHORT, name="cohort")
    app.add_typer(SEGMENTATION, name="segmentation")
    app.add_typer(CLASSIFICATION, name="classification")
    app.add_typer(SYNTHESIS, name="synthesis")
    app.add_typer(GROWTH, name="growth")
    return app
