"""The commands of ``ichnode config``: how they are called. Nothing heavy is imported here."""

from typing import Annotated

import typer

from dicom_node.cli.config_option import ConfigOption

app = typer.Typer(
    name="config",
    help="Show the settings file, change it, check it, see its history, roll it back.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
WhyOption = Annotated[
    str, typer.Option("--why", metavar="TEXT", help="Why; kept in the history of the settings.")
]


@app.command()
def show(
    table: Annotated[
        str | None, typer.Argument(metavar="[TABLE]", help="Only this table, for example node.")
    ] = None,
    *,
    changed: Annotated[
        bool, typer.Option("--changed", help="Only what is not the default.")
    ] = False,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Show what every setting is, and which of them the site has set.

    For example:

        ichnode config show

        ichnode config show delivery

        ichnode config show --changed
    """
    from dicom_node.commands.configuration import run_show

    raise typer.Exit(run_show(table, changed=changed, as_json=as_json, config=config))


@app.command("set")
def set_value(
    key: Annotated[str, typer.Argument(metavar="KEY", help="For example node.port.")],
    value: Annotated[
        str | None,
        typer.Argument(metavar="[VALUE]", help="As TOML writes it; text needs no quotes."),
    ] = None,
    *,
    default: Annotated[
        bool, typer.Option("--default", help="Take the key out: its default applies.")
    ] = False,
    why: WhyOption = "",
    config: ConfigOption = None,
) -> None:
    """Give a setting a value; comments and layout of the file stay.

    The file is checked first; a value that cannot be changes nothing. A running node takes it.

    For example:

        ichnode config set node.port 11113

        ichnode config set alerts.mail_to '["ct@hospital.example"]'

        ichnode config set node.port --default
    """
    from dicom_node.commands.configuration import run_set

    if (value is None) != default:
        raise typer.BadParameter("give a value, or --default")
    raise typer.Exit(run_set(key, value, why=why, config=config))


@app.command()
def check(*, as_json: JsonOption = False, config: ConfigOption = None) -> None:
    """Name every fault of the settings file. Exit code 0: there is none. 2: there are some.

    `ichnode check` also tests models, ports and peers.

    Example:

        ichnode config check
    """
    from dicom_node.commands.configuration import run_check

    raise typer.Exit(run_check(as_json=as_json, config=config))


@app.command()
def history(
    number: Annotated[
        int | None, typer.Argument(metavar="[NUMBER]", help="Show this change in full.")
    ] = None,
    *,
    limit: Annotated[int, typer.Option(min=1, help="Newest changes to show.")] = 30,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Show who changed the settings, when and why; with a number, what was changed.

    For example:

        ichnode config history

        ichnode config history 12
    """
    from dicom_node.commands.configuration import run_history

    raise typer.Exit(run_history(number, limit=limit, as_json=as_json, config=config))


@app.command()
def diff(
    number: Annotated[
        int | None, typer.Argument(metavar="[NUMBER]", help="A change. Default: the last one.")
    ] = None,
    *,
    config: ConfigOption = None,
) -> None:
    """Show what has changed since a change.

    Example:

        ichnode config diff 12
    """
    from dicom_node.commands.configuration import run_diff

    raise typer.Exit(run_diff(number, config=config))


@app.command()
def rollback(
    number: Annotated[
        int | None,
        typer.Argument(
            metavar="[NUMBER]", help="A change. Default: the one before the last, to undo that."
        ),
    ] = None,
    *,
    why: WhyOption = "",
    config: ConfigOption = None,
) -> None:
    """Make the settings file again what it was after a change. This is a change, too.

    For example:

        ichnode config rollback

        ichnode config rollback 12 --why "PACS is back"
    """
    from dicom_node.commands.configuration import run_rollback

    raise typer.Exit(run_rollback(number, why=why, config=config))
