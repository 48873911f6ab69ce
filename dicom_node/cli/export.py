"""How ``ichnode export-cohort`` is called. Nothing heavy is imported here."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from dicom_node.cli.config_option import ConfigOption


def export_cohort(
    *,
    output: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder of the export, new or of an earlier call.")
    ],
    key_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Key that names, UIDs and dates are made from; made if there is none. "
            "Default: a key of this folder's own, in the node's data directory.",
        ),
    ] = None,
    since: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="Leave out comparisons made before this day."),
    ] = None,
    secondary: Annotated[
        bool,
        typer.Option(
            "--secondary",
            help="Take secondary images too: I have looked and no text is burned into them.",
        ),
    ] = False,
    characteristics: Annotated[
        bool,
        typer.Option(
            "--characteristics/--no-characteristics",
            help="Keep sex and age (90 and above as 90).",
        ),
    ] = True,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Count who would be in it, and write nothing.")
    ] = False,
    config: ConfigOption = None,
) -> None:
    """Write de-identified baseline and follow-up scans with masks and verdicts, for training.

    Everybody whose scans the node has compared, one hemorrhage each. Texts, names, numbers, UIDs
    and dates are left out or replaced; a repeat with the same key goes on where it stopped. Whole
    heads can be recognised by their faces: keep the export under lock.

    For example:

        ichnode export-cohort --output /safe/export --dry-run

        ichnode export-cohort --output /safe/export

        ichtrain cohort import /safe/export --clinical /safe/export/clinical.csv --output cohort
    """
    from dicom_node.commands.export_cohort import Wishes, run

    wishes = Wishes(
        output=output,
        key_file=key_file,
        since=None if since is None else since.replace(tzinfo=UTC),
        with_secondary=secondary,
        with_characteristics=characteristics,
        dry_run=dry_run,
    )
    raise typer.Exit(run(wishes, config=config))
