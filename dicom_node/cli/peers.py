"""The commands of ``ichnode peers`` and ``ichnode callers``: how they are called."""

from typing import Annotated

import typer

from dicom_node.cli.config_option import ConfigOption
from dicom_node.cli.configuration import JsonOption, WhyOption

app = typer.Typer(
    name="peers",
    help="Show, add, change, remove and test those whom the node calls; print its own card.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)
callers_app = typer.Typer(
    name="callers",
    help="Show, add, change and remove those who may call the node.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)

_Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of a peer in the settings.")]
_Title = Annotated[str, typer.Argument(metavar="TITLE", help="Calling AE title; * is anybody.")]
_Pairs = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Any other key of the entry; KEY= is its default."
    ),
]
_Results = Annotated[
    bool | None,
    typer.Option("--receives-results/--no-results", help="Whether results are sent there."),
]
_Tls = Annotated[bool | None, typer.Option("--tls/--no-tls", help="Whether TLS is spoken.")]
_From = Annotated[
    str | None,
    typer.Option("--address", metavar="NETWORK", help="Where it calls from: 10.0.0.21."),
]
_At = Annotated[str | None, typer.Option(help="Its present address, where a title stands twice.")]
_May = Annotated[
    list[str] | None, typer.Option(help="What it may do: echo, store, commit. Several times.")
]


@app.command("list")
def list_peers(*, as_json: JsonOption = False, config: ConfigOption = None) -> None:
    """Show every peer.

    Example:

        ichnode peers list
    """
    from dicom_node.commands.peer_entries import run_list

    raise typer.Exit(run_list(as_json=as_json, config=config))


@app.command()
def show(name: _Name, *, as_json: JsonOption = False, config: ConfigOption = None) -> None:
    """Show everything that the settings say of a peer.

    Example:

        ichnode peers show pacs
    """
    from dicom_node.commands.peer_entries import run_show

    raise typer.Exit(run_show(name, as_json=as_json, config=config))


@app.command()
def add(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Your word for it.")],
    address: Annotated[
        str, typer.Argument(metavar="ADDRESS", help="AE@HOST:PORT, or https://... for DICOMweb.")
    ],
    *,
    receives_results: _Results = None,
    tls: _Tls = None,
    pairs: _Pairs = None,
    why: WhyOption = "",
    config: ConfigOption = None,
) -> None:
    """Add a peer; a running node takes it within seconds.

    For example:

        ichnode peers add pacs PACS@10.0.0.7:104 --receives-results

        ichnode peers add vna https://vna.example/dicom-web --set secret_file=/etc/ichnode/token
    """
    from dicom_node.commands.peer_entries import given, run_add

    values = given(pairs or (), receives_results=receives_results, tls=tls)
    raise typer.Exit(run_add(name, address, values=values, why=why, config=config))


@app.command()
def change(
    name: _Name,
    address: Annotated[
        str | None, typer.Argument(metavar="[ADDRESS]", help="AE@HOST:PORT, or https://...")
    ] = None,
    *,
    receives_results: _Results = None,
    tls: _Tls = None,
    pairs: _Pairs = None,
    why: WhyOption = "",
    config: ConfigOption = None,
) -> None:
    """Change a peer; keys that are not named stay.

    For example:

        ichnode peers change pacs --set commitment=true --set associations=2

        ichnode peers change pacs PACS@10.0.0.8:104 --why "new archive"
    """
    from dicom_node.commands.peer_entries import given, run_change

    values = given(pairs or (), receives_results=receives_results, tls=tls)
    raise typer.Exit(run_change(name, address, values=values, why=why, config=config))


@app.command()
def remove(name: _Name, *, why: WhyOption = "", config: ConfigOption = None) -> None:
    """Remove a peer; results that wait for it stay in the outbox.

    Example:

        ichnode peers remove pacs
    """
    from dicom_node.commands.peer_entries import run_remove

    raise typer.Exit(run_remove(name, why=why, config=config))


@app.command("test")
def try_peer(
    peer: Annotated[str, typer.Argument(metavar="PEER", help="Name of a peer, or AE@HOST:PORT.")],
    *,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Test a peer step by step: connection, TLS, C-ECHO, every class of object.

    What fails comes with the sentence that its administrator needs. Nothing is stored there.
    Exit code 0: all is well. 1: something must be put right.

    For example:

        ichnode peers test pacs

        ichnode peers test PACS@10.0.0.7:104
    """
    from dicom_node.commands.peers import run_test

    raise typer.Exit(run_test(peer, as_json=as_json, config=config))


@app.command()
def card(*, as_json: JsonOption = False, config: ConfigOption = None) -> None:
    """Print what to enter at a PACS or scanner to know this node.

    Example:

        ichnode peers card
    """
    from dicom_node.commands.peers import run_card

    raise typer.Exit(run_card(as_json=as_json, config=config))


@callers_app.command("list")
def list_callers(*, as_json: JsonOption = False, config: ConfigOption = None) -> None:
    """Show who may call, from where, for what.

    Example:

        ichnode callers list
    """
    from dicom_node.commands.peer_entries import run_callers

    raise typer.Exit(run_callers(as_json=as_json, config=config))


@callers_app.command("add")
def add_caller(
    title: _Title,
    *,
    address: _From = None,
    may: _May = None,
    pairs: _Pairs = None,
    why: WhyOption = "",
    config: ConfigOption = None,
) -> None:
    """Let an AE title in; in force with its next association.

    For example:

        ichnode callers add CT1 --address 10.0.0.21 --may echo --may store
    """
    from dicom_node.commands.peer_entries import given, run_add_caller

    values = given(pairs or (), address=address, may=may)
    raise typer.Exit(run_add_caller(title, values=values, why=why, config=config))


@callers_app.command("change")
def change_caller(
    title: _Title,
    *,
    at: _At = None,
    address: _From = None,
    may: _May = None,
    pairs: _Pairs = None,
    why: WhyOption = "",
    config: ConfigOption = None,
) -> None:
    """Change what a caller may do; keys that are not named stay.

    For example:

        ichnode callers change CT1 --set max_associations=4
    """
    from dicom_node.commands.peer_entries import given, run_change_caller

    values = given(pairs or (), address=address, may=may)
    raise typer.Exit(run_change_caller(title, address=at, values=values, why=why, config=config))


@callers_app.command("remove")
def remove_caller(
    title: _Title,
    *,
    at: _At = None,
    why: WhyOption = "",
    config: ConfigOption = None,
) -> None:
    """Let an AE title in no more; associations that are open end as they began.

    Example:

        ichnode callers remove CT1
    """
    from dicom_node.commands.peer_entries import run_remove_caller

    raise typer.Exit(run_remove_caller(title, address=at, why=why, config=config))
