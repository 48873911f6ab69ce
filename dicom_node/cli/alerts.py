"""The commands of ``ichnode alerts``."""

import typer

from dicom_node.cli.config_option import ConfigOption
from dicom_node.cli.configuration import JsonOption

app = typer.Typer(
    name="alerts",
    help="What is wrong with the node, and whether those who shall know can be told.",
    no_args_is_help=True,
)


@app.command("list")
def list_alerts(
    *,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the alerts that stand, and which channels were told.

    Exit code 0: none. 4: an alert stands. 1: no node has worked here yet.

    Example:

        ichnode alerts list
    """
    from dicom_node.commands.alerts import run_list

    raise typer.Exit(run_list(config=config, as_json=as_json))


@app.command("test")
def send_test(*, config: ConfigOption = None) -> None:
    """Send a test message by webhook and mail, as far as they are set.

    Exit code 0: every channel took it. 1: one did not, or none is set.

    Example:

        ichnode alerts test
    """
    from dicom_node.commands.alerts import run_test

    raise typer.Exit(run_test(config=config))
