"""The command line of the node: which commands there are, and how they are called.

Nothing heavy is imported here, so that ``ichnode --help`` answers at once.
"""

import sys
from pathlib import Path
from typing import Annotated

import typer

from dicom_node.cli import (
    alerts,
    configuration,
    custody,
    deliveries,
    export,
    folder,
    init,
    ledger,
    models,
    peers,
    pull,
    reprocess,
    retention,
    rules,
    studies,
    users,
    version,
)
from dicom_node.cli.config_option import ConfigOption
from dicom_node.cli.configuration import JsonOption
from dicom_node.cli.studies import StudyArgument
from dicom_node.commands.demo_patient import TYPICAL
from dicom_node.errors import NodeError, stack_of
from dicom_node.operator_error import ExitCode, OperatorError

app = typer.Typer(
    name="ichnode",
    help=(
        "Finds intracerebral hematoma in head CT, measures it and predicts its expansion.\n\n"
        "RESEARCH USE ONLY. Not a medical device."
    ),
    epilog=(
        "First steps:  **ichnode demo** shows everything in a minute.  "
        "**ichnode init** writes the settings of a site.  "
        "**ichnode check** tests settings, peers and weights.  "
        "**ichnode serve** starts the node.  "
        "**ichnode status --watch** shows what it does."
    ),
    no_args_is_help=True,
    add_completion=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

app.callback()(version.root)
app.add_typer(configuration.app)
app.add_typer(peers.app)
app.add_typer(peers.callers_app)
app.add_typer(rules.app)
app.add_typer(studies.app)
app.add_typer(models.app)
app.add_typer(deliveries.app)
app.add_typer(alerts.app)
app.add_typer(retention.app)
app.add_typer(reprocess.app)
app.add_typer(users.app)
app.add_typer(ledger.app)


@app.command()
def serve(
    *,
    config: ConfigOption = None,
    only: Annotated[
        str | None,
        typer.Option(help="Run one process alone: receiver, worker or office."),
    ] = None,
    supervised: Annotated[bool, typer.Option("--supervised", hidden=True)] = False,
) -> None:
    """Run the node until it is stopped (Ctrl-C or SIGTERM).

    Starts and supervises three processes: receiver (DICOM), worker (analysis) and office
    (deadlines, deliveries, status page).

    For example:

        ichnode serve

        ichnode serve --config /etc/ichnode/node.toml

        ichnode serve --only worker
    """
    if only == "receiver":
        from dicom_node.bootstrap.lean_imports import leave_decoders_out

        leave_decoders_out()
    from dicom_node.commands.serve import run

    run(config, only=only, supervised=supervised)


app.command()(init.init)
app.command()(folder.analyze)
app.command()(folder.compare)
app.command()(pull.pull)
app.command("export-cohort")(export.export_cohort)
app.command()(custody.verify)
app.command()(custody.backup)
app.command()(retention.hold)
app.command()(retention.unhold)
app.command()(retention.purge)


@app.command()
def echo(
    peer: Annotated[str, typer.Argument(metavar="PEER", help="Name of a peer in the settings.")],
    *,
    contexts: Annotated[
        bool, typer.Option("--contexts", help="Ask for every class and encoding of results.")
    ] = False,
    config: ConfigOption = None,
) -> None:
    """Test the connection to a peer with C-ECHO, or what it would take of the node.

    With --contexts nothing is sent: the peer says which presentation contexts it refuses and why.
    Exit code 0 then means that it takes every class of object that the node makes.

    For example:

        ichnode echo pacs

        ichnode echo pacs --contexts
    """
    from dicom_node.commands.peers import run_contexts, run_echo

    raise typer.Exit((run_contexts if contexts else run_echo)(peer, config=config))


@app.command()
def send(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder with DICOM files.")],
    peer: Annotated[str, typer.Argument(metavar="PEER", help="Name of a peer, or AE@HOST:PORT.")],
    *,
    config: ConfigOption = None,
) -> None:
    """Send every DICOM file of a folder to a peer by C-STORE.

    For example:

        ichnode send out pacs

        ichnode send /data/head-ct ICHNODE@127.0.0.1:11112
    """
    from dicom_node.commands.peers import run_send

    raise typer.Exit(run_send(folder, peer, config=config))


@app.command()
def status(
    *,
    config: ConfigOption = None,
    as_json: JsonOption = False,
    watch: Annotated[bool, typer.Option("--watch", help="Repeat every 2 s until Ctrl-C.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="Newest series to show.")] = 50,
) -> None:
    """Show every series, its job and its deliveries, with reasons and times.

    Door to result is the time from the last image received to the last result accepted.

    For example:

        ichnode status

        ichnode status --watch

        ichnode status --json
    """
    from dicom_node.commands.status import run

    raise typer.Exit(run(config=config, as_json=as_json, watch=watch, limit=limit))


@app.command()
def health(
    *,
    only: Annotated[
        str | None,
        typer.Option(help="One process on this machine alone: receiver, worker or office."),
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Tell whether the node can do its work now, and every reason why not.

    For probes: it reads the ledger and asks no running process.
    Exit code 0: images that are sent now will be taken and analysed. 1: not, or no node has worked
    here yet. 2: the settings file has faults.
    With --only it tells whether such a process of this machine was seen lately, and nothing else.

    For example:

        ichnode health --config /etc/ichnode/node.toml

        ichnode health --only worker
    """
    from dicom_node.commands.health import run, run_only

    if only is not None:
        raise typer.Exit(run_only(only, config=config))
    raise typer.Exit(run(config=config, as_json=as_json))


@app.command()
def watch(
    *,
    config: ConfigOption = None,
    as_json: JsonOption = False,
    plot: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Draw ROC curve, reliability and drift as PNG."),
    ] = None,
) -> None:
    """Show how good the predictions were, and whether the scans have changed.

    Every comparison with a follow-up scan is an outcome of a prediction: AUC, sensitivity,
    predictive values and calibration with intervals, what is missing for useful ones, drift, and
    models on trial beside those in use.
    Exit code 0: no alarm. 4: an alarm stands. 1: failure.

    For example:

        ichnode watch

        ichnode watch --plot watch.png

        ichnode watch --json
    """
    from dicom_node.commands.watch import run

    raise typer.Exit(run(config=config, as_json=as_json, plot=plot))


@app.command()
def check(*, config: ConfigOption = None) -> None:
    """Test settings, peers, weights, disk and ports; name every fault at once.

    Exit code 0: the node can be started. 1: something must be put right. 2: the settings file has
    faults.

    Example:

        ichnode check --config /etc/ichnode/node.toml
    """
    from dicom_node.commands.check import run

    raise typer.Exit(run(config=config))


@app.command()
def retry(
    identifier: Annotated[
        str | None,
        typer.Argument(
            metavar="[UID]", help="Series Instance UID or job; everything that failed if left out."
        ),
    ] = None,
    *,
    destination: Annotated[
        str | None,
        typer.Option(metavar="PEER", help="Send at once whatever waits for this destination."),
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Try failed analyses and their deliveries again.

    For example:

        ichnode retry

        ichnode retry 1.2.840.113619.2.1

        ichnode retry --destination pacs
    """
    from dicom_node.commands.retry import run

    raise typer.Exit(run(identifier, destination=destination, config=config))


@app.command()
def urgent(
    study: StudyArgument,
    *,
    off: Annotated[bool, typer.Option("--off", help="Take it out of the urgent lane.")] = False,
    config: ConfigOption = None,
) -> None:
    """Analyse a study next, and send its results before all others.

    What is being analysed or sent is not interrupted. Images of the study that come later are
    urgent, too.

    For example:

        ichnode urgent 1.2.840.113619.2.1

        ichnode urgent 1.2.840.113619.2.1 --off
    """
    from dicom_node.commands.urgent import run

    raise typer.Exit(run(study, off=off, config=config))


@app.command()
def worklist(
    *,
    as_json: JsonOption = False,
    limit: Annotated[int, typer.Option(min=1, help="Newest workitems to show.")] = 50,
    config: ConfigOption = None,
) -> None:
    """Show the workitems that the node has claimed from worklists, and how far they are.

    For example:

        ichnode worklist

        ichnode worklist --json
    """
    from dicom_node.commands.worklist import run

    raise typer.Exit(run(as_json=as_json, limit=limit, config=config))


@app.command()
def conformance(
    *,
    ihe: Annotated[
        bool, typer.Option("--ihe", help="The IHE integration statement instead.")
    ] = False,
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write here instead of printing.")
    ] = None,
) -> None:
    """Print the DICOM conformance statement, made from the tables the node runs on.

    For example:

        ichnode conformance --output docs/conformance.md

        ichnode conformance --ihe
    """
    from dicom_node.conformance.integration import integration_statement
    from dicom_node.conformance.statement import conformance_statement

    statement = integration_statement() if ihe else conformance_statement()
    if output is None:
        typer.echo(statement, nl=False)
    else:
        output.write_text(statement, encoding="utf-8")


@app.command()
def demo(
    *,
    output: Annotated[
        Path, typer.Option(help="Folder for data and results; a new run replaces it.")
    ] = Path("demo-output"),
    seed: Annotated[int, typer.Option(min=0, help="Which simulated patient.")] = TYPICAL,
) -> None:
    """Show the whole node on a simulated patient, with a PACS of its own; about a minute.

    Exit code 0 only if segmentation, captures and report have come back to the PACS.

    Example:

        ichnode demo
    """
    from dicom_node.commands.demo import run

    raise typer.Exit(run(output=output, seed=seed))


def main() -> None:
    """Run the command line; faults that an operator can put right end without a traceback."""
    try:
        app()
    except OperatorError as error:
        typer.echo(f"ichnode: {error}", err=True)
        sys.exit(error.exit_code)
    except NodeError as error:  # its words are the node's own
        typer.echo(f"ichnode: {error}", err=True)
        sys.exit(ExitCode.FAILED)
    except KeyboardInterrupt:
        typer.echo("ichnode: stopped", err=True)
        sys.exit(ExitCode.FAILED)
    except Exception as error:  # noqa: BLE001 - a traceback would quote an outside library's words
        typer.echo(f"ichnode: this should not have happened: {stack_of(error)}", err=True)
        sys.exit(ExitCode.FAILED)
