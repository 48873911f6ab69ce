"""The commands of ``ichnode studies``: how they are called. Nothing heavy is imported here."""

from typing import Annotated

import typer

from dicom_node.cli.config_option import ConfigOption
from dicom_node.cli.configuration import JsonOption

app = typer.Typer(
    name="studies",
    help="Search studies, show what became of them, analyse one again.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)

StudyArgument = Annotated[str, typer.Argument(metavar="STUDY", help="Study Instance UID.")]
_Moment = Annotated[str, typer.Option(metavar="TIME", help="As 2026-11-22 or 2026-11-22T08:30.")]


@app.command("list")
def list_studies(  # noqa: PLR0913 - each filter is an option
    text: Annotated[
        str,
        typer.Argument(
            metavar="[UID]",
            help="Beginning of a study or series UID, number of a job, or a patient's key "
            "as the audit trail has it.",
        ),
    ] = "",
    *,
    search: Annotated[
        str, typer.Option("--search", metavar="UID", help="The same as the argument.")
    ] = "",
    patient: Annotated[
        str,
        typer.Option(
            "--patient",
            metavar="ID",
            help="Patient ID; - reads it from standard input. The ledger knows only its key.",
        ),
    ] = "",
    accession: Annotated[
        str,
        typer.Option(
            "--accession",
            metavar="NUMBER",
            help="Accession Number; - reads it from standard input. It is not kept either.",
        ),
    ] = "",
    state: Annotated[
        list[str] | None, typer.Option(help="State of a series or its analysis. Several times.")
    ] = None,
    caller: Annotated[
        list[str] | None, typer.Option(metavar="TITLE", help="Who sent it. Several times.")
    ] = None,
    outcome: Annotated[
        str, typer.Option(help="hematoma_found, no_hematoma_found or rejected.")
    ] = "",
    urgent: Annotated[bool, typer.Option("--urgent", help="Only urgent ones.")] = False,
    since: _Moment = "",
    until: _Moment = "",
    limit: Annotated[int, typer.Option(min=1, help="Newest studies to show.")] = 50,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Show the studies that fit, the latest first. Nothing of the patient is kept or shown.

    Exit code 0: shown, also if there are none. 1: no node has worked here yet. 2: called wrongly.

    For example:

        ichnode studies list

        ichnode studies list --state failed --since 2026-11-22

        ichnode studies list --search 1.2.840.113619 --json

        ichnode studies list --patient -

        ichnode studies list --accession A1234
    """
    from dicom_node.commands.studies import Wanted, run_list

    wanted = Wanted(
        text=text or search,
        patient=patient,
        accession=accession,
        states=tuple(state or ()),
        callers=tuple(caller or ()),
        outcome=outcome,
        urgent=urgent,
        since=since,
        until=until,
    )
    raise typer.Exit(run_list(wanted, limit=limit, as_json=as_json, config=config))


@app.command()
def show(
    study: StudyArgument, *, as_json: JsonOption = False, config: ConfigOption = None
) -> None:
    """Show a study with its whole history, from the first image to the last result.

    Example:

        ichnode studies show 1.2.840.113619.2.1
    """
    from dicom_node.commands.studies import run_show

    raise typer.Exit(run_show(study, as_json=as_json, config=config))


@app.command()
def rerun(study: StudyArgument, *, config: ConfigOption = None) -> None:
    """Analyse a study again, with the models and settings of today.

    Example:

        ichnode studies rerun 1.2.840.113619.2.1
    """
    from dicom_node.commands.studies import run_rerun

    raise typer.Exit(run_rerun(study, config=config))
