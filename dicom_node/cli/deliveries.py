"""The commands of ``ichnode deliveries``: how they are called. Nothing heavy is imported here."""

from typing import Annotated

import typer

from dicom_node.cli.config_option import ConfigOption
from dicom_node.cli.configuration import JsonOption

app = typer.Typer(
    name="deliveries",
    help="Show what is on its way to the destinations; hold, release, retry or cancel it.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)

_Numbers = Annotated[list[int], typer.Argument(metavar="NUMBER...", help="Deliveries, by number.")]
_Peer = Annotated[str, typer.Argument(metavar="PEER", help="Name of a destination.")]


@app.command("list")
def list_deliveries(
    *,
    state: Annotated[
        list[str] | None,
        typer.Option(
            help="Only these: pending, sending, accepted, committed, dead, cancelled. "
            "May be given several times. Default: pending, sending, dead."
        ),
    ] = None,
    destination: Annotated[
        str | None, typer.Option(metavar="PEER", help="Only those to this destination.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Newest deliveries to show.")] = 200,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Show destinations and what waits for them or was given up.

    Exit code 0: shown, also if there are none. 1: no node has worked here yet. 2: no such state.

    For example:

        ichnode deliveries list

        ichnode deliveries list --state dead --destination pacs

        ichnode deliveries list --json
    """
    from dicom_node.commands.deliveries import Wanted, run_list

    wanted = Wanted(states=tuple(state or ()), destination=destination, limit=limit)
    raise typer.Exit(run_list(wanted, as_json=as_json, config=config))


@app.command()
def show(
    number: Annotated[int, typer.Argument(metavar="NUMBER", help="A delivery, by number.")],
    *,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Show one delivery with all that is known, also what the destination refused and why.

    Exit code 0: shown. 1: there is no such delivery.

    For example:

        ichnode deliveries show 17

        ichnode deliveries show 17 --json
    """
    from dicom_node.commands.deliveries import run_show

    raise typer.Exit(run_show(number, as_json=as_json, config=config))


@app.command()
def hold(
    peer: _Peer,
    *,
    reason: Annotated[str, typer.Option(help="Why; shown in the status.")] = "",
    config: ConfigOption = None,
) -> None:
    """Send nothing more to a destination until it is released; results wait.

    For example:

        ichnode deliveries hold pacs --reason "migration until Monday"
    """
    from dicom_node.commands.deliveries import run_hold

    raise typer.Exit(run_hold(peer, reason=reason, config=config))


@app.command()
def release(peer: _Peer, *, config: ConfigOption = None) -> None:
    """Send to a destination again that was held.

    For example:

        ichnode deliveries release pacs
    """
    from dicom_node.commands.deliveries import run_release

    raise typer.Exit(run_release(peer, config=config))


@app.command()
def retry(numbers: _Numbers, *, config: ConfigOption = None) -> None:
    """Send deliveries now that wait or were given up.

    For example:

        ichnode deliveries retry 17 18
    """
    from dicom_node.commands.deliveries import run_retry

    raise typer.Exit(run_retry(numbers, config=config))


@app.command()
def cancel(numbers: _Numbers, *, config: ConfigOption = None) -> None:
    """Give deliveries up for good that wait or were given up.

    For example:

        ichnode deliveries cancel 17
    """
    from dicom_node.commands.deliveries import run_cancel

    raise typer.Exit(run_cancel(numbers, config=config))
