"""The commands of ``ichnode rules``: how they are called. Nothing heavy is imported here."""

from typing import Annotated

import typer

from dicom_node.cli.config_option import ConfigOption
from dicom_node.cli.configuration import JsonOption, WhyOption

app = typer.Typer(
    name="rules",
    help="Show, add, remove and try the rules by which series are chosen or urgent.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)

_List = Annotated[str, typer.Argument(metavar="LIST", help="include, exclude, prefer or urgent.")]


@app.command("list")
def list_rules(*, as_json: JsonOption = False, config: ConfigOption = None) -> None:
    """Show every rule with its number.

    Example:

        ichnode rules list
    """
    from dicom_node.commands.rules import run_list

    raise typer.Exit(run_list(as_json=as_json, config=config))


@app.command()
def add(
    name: _List,
    attribute: Annotated[
        str,
        typer.Argument(
            metavar="ATTRIBUTE",
            help="description, protocol, body_part, kernel, image_type, manufacturer, station "
            "or study.",
        ),
    ],
    pattern: Annotated[
        str, typer.Argument(metavar="PATTERN", help="Regular expression, whatever the case.")
    ],
    *,
    points: Annotated[
        int | None, typer.Option(help="For prefer: points, negative ones count against it.")
    ] = None,
    why: WhyOption = "",
    config: ConfigOption = None,
) -> None:
    """Add a rule; in force for studies that become complete from now on.

    For example:

        ichnode rules add exclude description 'bone|perfusion'

        ichnode rules add prefer kernel '^H30' --points 30
    """
    from dicom_node.commands.rules import run_add

    raise typer.Exit(run_add(name, attribute, pattern, points=points, why=why, config=config))


@app.command()
def remove(
    name: _List,
    number: Annotated[int, typer.Argument(metavar="NUMBER", help="As ichnode rules list says.")],
    *,
    why: WhyOption = "",
    config: ConfigOption = None,
) -> None:
    """Remove a rule.

    Example:

        ichnode rules remove exclude 2
    """
    from dicom_node.commands.rules import run_remove

    raise typer.Exit(run_remove(name, number, why=why, config=config))


@app.command("test")
def try_rules(
    target: Annotated[
        str,
        typer.Argument(
            metavar="STUDY|FOLDER|FILE", help="Study Instance UID of a received study, or a path."
        ),
    ],
    *,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Say which series would be analysed, and why not the others; nothing is changed.

    Every rule that fits is named with what it found.

    For example:

        ichnode rules test 1.2.840.113619.2.1

        ichnode rules test /data/head-ct
    """
    from dicom_node.commands.rules import run_test

    raise typer.Exit(run_test(target, as_json=as_json, config=config))
