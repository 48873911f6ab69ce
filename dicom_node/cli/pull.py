"""How ``ichnode pull`` is called. Nothing heavy is imported here."""

from typing import Annotated

import typer

from dicom_node.cli.config_option import ConfigOption
from dicom_node.cli.configuration import JsonOption


def pull(  # noqa: PLR0913 - each is an option
    patient: Annotated[
        str | None,
        typer.Argument(metavar="[PATIENT_ID]", help="Patient ID; - reads it from standard input."),
    ] = None,
    *,
    study: Annotated[
        str, typer.Option(metavar="UID", help="Study Instance UID, instead of a patient.")
    ] = "",
    accession: Annotated[
        str, typer.Option(metavar="NUMBER", help="Accession Number, instead of a patient.")
    ] = "",
    peer: Annotated[
        str, typer.Option("--from", metavar="PEER", help="Name of a peer in the settings.")
    ],
    by: Annotated[
        str,
        typer.Option(
            metavar="move|get",
            help="C-MOVE to the node's own listener, or C-GET. Default: the peer's gives_priors, "
            "else move.",
        ),
    ] = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only show what is there, fetch nothing.")
    ] = False,
    again: Annotated[
        bool, typer.Option("--again", help="Analyse again what is here already.")
    ] = False,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait for the results.")] = True,
    patience: Annotated[
        float, typer.Option(metavar="SECONDS", min=1, help="How long to wait for results.")
    ] = 3600.0,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Fetch the head CT of a study from a peer and have it analysed.

    Asks the peer by C-FIND, shows every series with the reason why it is fetched or not (the rules
    of [selection], as far as a query tells; the images themselves are judged once they are here),
    fetches them into the custody of the running node, waits, and says where the results went.
    Exit code 0: everything that was fetched is analysed and sent (with --no-wait: fetched).
    1: not. 2: called wrongly.

    For example:

        ichnode pull 4711 --from pacs --dry-run

        ichnode pull --study 1.2.840.113619.2.1 --from pacs --by get

        ichnode pull --accession A1234 --from pacs --again
    """
    from dicom_node.commands.pull import Asked, run

    asked = Asked(
        patient=patient or "",
        study=study,
        accession=accession,
        peer=peer,
        by=by,
        dry_run=dry_run,
        again=again,
        wait=wait,
        patience_s=patience,
    )
    raise typer.Exit(run(asked, as_json=as_json, config=config))
