"""The commands of ``ichnode users``: how they are called. Nothing heavy is imported here."""

from typing import Annotated

import typer

from dicom_node.cli.config_option import ConfigOption
from dicom_node.cli.configuration import JsonOption

app = typer.Typer(
    name="users",
    help="Say who may use the pages and the interface for programs: people and tokens.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)

tokens_app = typer.Typer(
    name="token",
    help="Make and remove the secrets that programs show.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)
app.add_typer(tokens_app)

_Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of a user.")]
_TokenName = Annotated[str, typer.Argument(metavar="NAME", help="Name of a token.")]
_Role = Annotated[
    str, typer.Option("--role", help="admin, operator (moves studies along) or viewer.")
]


@app.command("list")
def list_users(*, as_json: JsonOption = False, config: ConfigOption = None) -> None:
    """Show everybody, and every token.

    For example:

        ichnode users list

        ichnode users list --json
    """
    from dicom_node.commands.users import run_list

    raise typer.Exit(run_list(as_json=as_json, config=config))


@app.command()
def add(name: _Name, *, role: _Role = "viewer", config: ConfigOption = None) -> None:
    """Add a user and print the one-time code that sets the password at the first log-in.

    For example:

        ichnode users add mueller --role operator
    """
    from dicom_node.commands.users import run_add

    raise typer.Exit(run_add(name, role=role, config=config))


@app.command()
def code(name: _Name, *, config: ConfigOption = None) -> None:
    """Take the password of a user and print a new one-time code; sessions end.

    For example:

        ichnode users code mueller
    """
    from dicom_node.commands.users import run_code

    raise typer.Exit(run_code(name, config=config))


@app.command()
def role(
    name: _Name,
    role: Annotated[str, typer.Argument(metavar="ROLE", help="admin, operator or viewer.")],
    *,
    config: ConfigOption = None,
) -> None:
    """Change what a user may do; at least one admin remains.

    For example:

        ichnode users role mueller admin
    """
    from dicom_node.commands.users import run_role

    raise typer.Exit(run_role(name, role, config=config))


@app.command()
def remove(name: _Name, *, config: ConfigOption = None) -> None:
    """Remove a user with all sessions and the tokens he or she made.

    For example:

        ichnode users remove mueller
    """
    from dicom_node.commands.users import run_remove

    raise typer.Exit(run_remove(name, config=config))


@tokens_app.command("add")
def add_token(
    name: _TokenName,
    *,
    role: _Role = "viewer",
    days: Annotated[int, typer.Option(help="How long it can be used.")] = 365,
    config: ConfigOption = None,
) -> None:
    """Make a token and print it; it is shown this once.

    A program sends it as `Authorization: Bearer TOKEN`.

    For example:

        ichnode users token add dashboard --role viewer --days 90
    """
    from dicom_node.commands.users import run_add_token

    raise typer.Exit(run_add_token(name, role=role, days=days, config=config))


@tokens_app.command("remove")
def remove_token(name: _TokenName, *, config: ConfigOption = None) -> None:
    """Remove a token; from now on it opens nothing.

    For example:

        ichnode users token remove dashboard
    """
    from dicom_node.commands.users import run_remove_token

    raise typer.Exit(run_remove_token(name, config=config))
