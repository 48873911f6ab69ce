"""The commands about what is kept and what goes: how they are called. Nothing heavy is here."""

from typing import Annotated

import typer

from dicom_node.cli.config_option import ConfigOption
from dicom_node.cli.configuration import JsonOption
from dicom_node.cli.studies import StudyArgument

app = typer.Typer(
    name="retention",
    help="Show what is kept, what goes and when.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)


@app.command("plan")
def show_plan(
    *,
    as_json: JsonOption = False,
    limit: Annotated[int, typer.Option(min=1, help="Lines of each table.")] = 20,
    config: ConfigOption = None,
) -> None:
    """Show what would go now, what later, how much it is, and why the rest stays.

    Nothing is deleted. Works before retention is turned on, too.

    For example:

        ichnode retention plan

        ichnode retention plan --json
    """
    from dicom_node.commands.retention import run_plan

    raise typer.Exit(run_plan(as_json=as_json, limit=limit, config=config))


def hold(
    study: StudyArgument,
    *,
    why: Annotated[str, typer.Option(metavar="TEXT", help="The reason; required.")],
    config: ConfigOption = None,
) -> None:
    """Put a study on legal hold: nothing of it is purged until the hold is ended.

    The reason is shown to everybody who looks at the study; name no patient in it.

    For example:

        ichnode hold 1.2.840.113619.2.1 --why "letter of 3 May, file 27"
    """
    from dicom_node.commands.retention import run_hold

    raise typer.Exit(run_hold(study, why=why, config=config))


def unhold(study: StudyArgument, *, config: ConfigOption = None) -> None:
    """End the legal hold of a study; it is purged like any other then.

    For example:

        ichnode unhold 1.2.840.113619.2.1
    """
    from dicom_node.commands.retention import run_unhold

    raise typer.Exit(run_unhold(study, config=config))


def purge(
    *,
    study: Annotated[str, typer.Option(metavar="UID", help="Study Instance UID.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    config: ConfigOption = None,
) -> None:
    """Delete images, results and summaries of one study now; the ledger keeps what it knows.

    Refused while the study is on hold, at work or not delivered, or while the node has committed
    itself to its images. The node may run meanwhile.
    Exit code 0: purged. 1: refused, or not wanted.

    For example:

        ichnode purge --study 1.2.840.113619.2.1
    """
    from dicom_node.commands.retention import run_purge

    raise typer.Exit(run_purge(study, yes=yes, config=config))
