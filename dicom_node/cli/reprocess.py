"""The commands of ``ichnode reprocess``: how they are called. Nothing heavy is imported here."""

from pathlib import Path
from typing import Annotated

import typer

from dicom_node.cli.config_option import ConfigOption
from dicom_node.cli.configuration import JsonOption

app = typer.Typer(
    name="reprocess",
    help="Read an archive again: in bulk, below all live work, resumable.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)

_Run = Annotated[int, typer.Argument(metavar="RUN", help="Number of the run.")]
_OptionalRun = Annotated[
    int, typer.Argument(metavar="[RUN]", help="Number of the run; the latest if left out.")
]
_Watch = Annotated[bool, typer.Option("--watch", help="Stay and show how far it is.")]


@app.command("start")
def start(  # noqa: PLR0913 - each is an option
    *,
    peer: Annotated[
        str, typer.Option("--from", metavar="PEER", help="Name of a peer in the settings.")
    ] = "",
    folder: Annotated[
        Path | None, typer.Option(metavar="DIR", help="A tree of files, instead of a peer.")
    ] = None,
    since: Annotated[str, typer.Option(metavar="DAY", help="First Study Date, 2020-01-01.")] = "",
    until: Annotated[str, typer.Option(metavar="DAY", help="Last Study Date.")] = "",
    modality: Annotated[
        str, typer.Option(help="Modality in the study that is asked for; empty: any.")
    ] = "CT",
    studies: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Study Instance UIDs, one a line, instead of days."),
    ] = None,
    by: Annotated[
        str, typer.Option(metavar="move|get", help="How images come; as in ichnode pull.")
    ] = "",
    deliver: Annotated[
        str,
        typer.Option(
            metavar="NAMES", help="Destinations, with commas. Default: none, results are kept."
        ),
    ] = "",
    unless_model: Annotated[
        str,
        typer.Option(metavar="ID", help="Leave out what these models have seen: their digest."),
    ] = "",
    pace: Annotated[
        float, typer.Option(metavar="N", min=0, help="Studies a minute at most; 0: no limit.")
    ] = 0.0,
    hours: Annotated[
        str, typer.Option(metavar="FROM-TO", help="Hours of the day it may use, as 20-6.")
    ] = "0-24",
    waiting: Annotated[int, typer.Option(min=1, help="Studies in hand at most.")] = 10,
    workers: Annotated[int, typer.Option(min=1, help="Workers that it may use at once.")] = 1,
    watch: _Watch = False,
    config: ConfigOption = None,
) -> None:
    """Begin to read an archive again. The running node does the work; this command may end.

    Every CT study of the days, of the list or of the folder is fetched and analysed with the
    models of today, one after the other, whenever nothing else is to be done. Results are kept and
    sent to nobody unless --deliver names destinations. Killed or stopped, the node goes on where
    it was. One run works at a time.

    For example:

        ichnode reprocess start --from pacs --since 2020-01-01 --until 2024-12-31 --hours 20-6

        ichnode reprocess start --from pacs --studies uids.txt --by get --pace 2

        ichnode reprocess start --folder /mnt/archive --deliver research --watch
    """
    from dicom_node.commands.reprocess import Asked, run_start

    asked = Asked(
        peer=peer,
        folder=folder,
        since=since,
        until=until,
        modality=modality,
        studies=studies,
        by=by,
        deliver=deliver,
        unless_model=unless_model,
        pace=pace,
        hours=hours,
        waiting=waiting,
        workers=workers,
    )
    raise typer.Exit(run_start(asked, watch=watch, config=config))


@app.command("list")
def list_runs(*, as_json: JsonOption = False, config: ConfigOption = None) -> None:
    """Show all runs, the latest first.

    For example:

        ichnode reprocess list
    """
    from dicom_node.commands.reprocess import run_list

    raise typer.Exit(run_list(as_json=as_json, config=config))


@app.command("show")
def show(
    run: _OptionalRun = 0,
    *,
    watch: _Watch = False,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Show how far a run is, how fast, and when it will be done.

    For example:

        ichnode reprocess show

        ichnode reprocess show 3 --watch
    """
    from dicom_node.commands.reprocess import run_show

    raise typer.Exit(run_show(run, watch=watch, as_json=as_json, config=config))


@app.command("pause")
def pause(run: _Run, *, config: ConfigOption = None) -> None:
    """Let a run wait; nothing of it begins until it is resumed.

    For example:

        ichnode reprocess pause 3
    """
    from dicom_node.commands.reprocess import run_move

    raise typer.Exit(run_move(run, "paused", config=config))


@app.command("resume")
def resume(run: _Run, *, config: ConfigOption = None) -> None:
    """Let a paused run go on.

    For example:

        ichnode reprocess resume 3
    """
    from dicom_node.commands.reprocess import run_move

    raise typer.Exit(run_move(run, "running", config=config))


@app.command("stop")
def stop(run: _Run, *, config: ConfigOption = None) -> None:
    """End a run for good: what waits of it is withdrawn, what it did stays.

    For example:

        ichnode reprocess stop 3
    """
    from dicom_node.commands.reprocess import run_move

    raise typer.Exit(run_move(run, "stopped", config=config))


@app.command("report")
def report(
    run: _OptionalRun = 0,
    *,
    output: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A .csv or .json file. Default: CSV on the terminal."),
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Write what became of every study: analysed, not eligible, skipped, failed, and why.

    It holds UIDs, states, reasons and outcomes, and nothing else of a patient.

    For example:

        ichnode reprocess report 3 --output run-3.csv
    """
    from dicom_node.commands.reprocess import run_report

    raise typer.Exit(run_report(run, output=output, config=config))
