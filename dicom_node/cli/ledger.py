"""The commands about the ledger's tables: how they are called. Nothing heavy is here."""

from pathlib import Path
from typing import Annotated

import typer

from dicom_node.cli.config_option import ConfigOption

app = typer.Typer(
    name="ledger",
    help="Show the version of the ledger, bring it to another one; copy it to a server.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)


@app.command("show")
def show(*, config: ConfigOption = None) -> None:
    """Show where the ledger is and which version it has. Exit code 1: not the one that is needed.

    For example:

        ichnode ledger show
    """
    from dicom_node.commands.ledger import run_show

    raise typer.Exit(run_show(config=config))


@app.command("upgrade")
def upgrade(*, config: ConfigOption = None) -> None:
    """Bring the ledger of an earlier version of ichnode up to date.

    Only a PostgreSQL ledger needs it: a file is copied and upgraded by the first process that
    opens it. Stop every node that uses the ledger and back it up before.

    For example:

        ichnode ledger upgrade
    """
    from dicom_node.commands.ledger import run_upgrade

    raise typer.Exit(run_upgrade(config=config))


@app.command("downgrade")
def downgrade(
    version: Annotated[int, typer.Argument(metavar="VERSION", min=1, help="Version to go to.")],
    *,
    yes: Annotated[
        bool, typer.Option("--yes", help="Delete what that version cannot hold.")
    ] = False,
    config: ConfigOption = None,
) -> None:
    """Bring the ledger down, so that an earlier version of ichnode can open it.

    What that version does not know is deleted: from 2 to 1 these are comparisons, searches for
    earlier scans, commitments, urgency, what was purged, worklists, counts and users. Stop every
    node before, and back the ledger up; of a file a copy stays beside it.

    For example:

        ichnode ledger downgrade 1 --yes
    """
    from dicom_node.commands.ledger import run_downgrade

    raise typer.Exit(run_downgrade(version, is_meant=yes, config=config))


@app.command("copy")
def copy(
    to: Annotated[
        str, typer.Argument(metavar="TO", help="postgresql://user@host/database, without tables.")
    ],
    *,
    secret_file: Annotated[
        Path | None,
        typer.Option("--secret-file", help="File (mode 0600) with the database's password."),
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Copy the ledger from its file into an empty PostgreSQL database, all or nothing.

    Stop the node before. The file stays as it is; afterwards name the database in the settings.

    For example:

        ichnode ledger copy postgresql://ichnode@db.hospital.example/ichnode
    """
    from dicom_node.commands.ledger import run_copy

    raise typer.Exit(run_copy(to, secret_file=secret_file, config=config))
