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

APP = typer.Typer(
    help="Simulate heads, train the networks of ichnode and release them as bundles.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
)
APP.command("phantom")(phantom)


@APP.callback()
def _root() -> None:
    """Keep the commands named even while there is only one."""


for _name, _module in _GROUPS:
    if find_spec(_module) is not None:
        APP.add_typer(import_module(_module).APP, name=_name)
