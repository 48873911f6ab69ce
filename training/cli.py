"""The command line `ichtrain`: each room brings its own commands."""

from importlib import import_module
from importlib.util import find_spec

import typer

from training.phantom.command import phantom

#: Rooms with a group of commands: the module holds a Typer app called APP.
_GROUPS: tuple[tuple[str, str], ...] = (
    ("segmentation", "training.segmentation.command"),
    ("classification", "training.classification.command"),
)


def application() -> typer.Typer:
    """Return the command line with the commands of every room that has some."""
    app = typer.Typer(
        help="Simulate heads, train the networks of ichnode and release them as bundles.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_show_locals=False,
    )
    # A callback keeps the commands named even while there is only one.
    app.callback()(_root)
    app.command("phantom")(phantom)
    for name, module in _GROUPS:
        if find_spec(module) is not None:
            app.add_typer(import_module(module).APP, name=name)
    return app


def _root() -> None:
    """Simulate heads, train the networks of ichnode and release them as bundles."""
