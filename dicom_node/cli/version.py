"""The option ``--version``: which ichnode this is."""

from typing import Annotated

import typer

from pipeline import __version__


def _tell(asked: bool) -> None:  # noqa: FBT001 - typer calls it so
    if asked:
        typer.echo(f"ichnode {__version__}")
        raise typer.Exit


def root(
    *,
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version and end.", callback=_tell, is_eager=True
        ),
    ] = False,
) -> None:
    """Take the options that stand before every command."""
    del version
