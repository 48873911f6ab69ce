"""The commands about what the node has in custody."""

from pathlib import Path
from typing import Annotated

import typer

from dicom_node.cli.config_option import ConfigOption


def verify(
    *,
    repair: Annotated[
        bool,
        typer.Option(
            "--repair",
            help="Record complete images that have no row; put aside what is no image; delete "
            "what had been purged and came back.",
        ),
    ] = False,
    config: ConfigOption = None,
) -> None:
    """Read every image and result again and compare it with the ledger; nothing is deleted.

    The node may run meanwhile. Exit code 0: all is there, byte for byte. 1: something is missing
    or changed, or the ledger itself is damaged.

    For example:

        ichnode verify

        ichnode verify --repair
    """
    from dicom_node.commands.verify import run

    raise typer.Exit(run(repair=repair, config=config))


def backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="New file for the copy.")],
    *,
    config: ConfigOption = None,
) -> None:
    """Copy the ledger as it is at this moment into a new file; the node may run meanwhile.

    Copy the folders spool, outbox and summaries after it: files in them never change, and those
    that the copy knows are there. Exit code 0: copied and sound. 1: not copied.

    For example:

        ichnode backup /backup/ledger.sqlite
    """
    from dicom_node.commands.backup import run

    raise typer.Exit(run(file, config=config))
