"""``ichnode init``: how it is called. Nothing heavy is imported here."""

from pathlib import Path
from typing import Annotated

import typer


def init(
    path: Annotated[Path, typer.Argument(metavar="[FILE]", help="Settings file to write.")] = Path(
        "config/node.toml"
    ),
    *,
    node: Annotated[str | None, typer.Option(metavar="AE@HOST:PORT", help="This node.")] = None,
    pacs: Annotated[
        str | None, typer.Option(metavar="AE@HOST:PORT", help="Who gets the results; '': none.")
    ] = None,
    callers: Annotated[
        str | None,
        typer.Option(metavar="LIST", help="Who may send: TITLE or TITLE=ADDRESS, with commas."),
    ] = None,
    data_dir: Annotated[
        str | None, typer.Option(metavar="DIR", help="Where patients' data lie.")
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="Where the models run: auto, cpu or cuda.")
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", help="Ask nothing; defaults for what was not said.")
    ] = False,
    test: Annotated[
        bool, typer.Option("--test/--no-test", help="Whether the PACS is called at the end.")
    ] = True,
) -> None:
    """Write a first settings file from five questions, and say what to enter at the PACS.

    Every question can be answered by an option. A file that is there is never overwritten.
    Exit code 0: written, and the PACS takes results. 1: written, but the PACS does not answer as
    it should; the table says why. 2: nothing was written.

    For example:

        ichnode init

        ichnode init /etc/ichnode/node.toml --yes --node ICHNODE@10.0.0.5:11112 \
--pacs PACS@10.0.0.7:104 --callers CT1=10.0.0.21,CT2=10.0.0.22
    """
    from dicom_node.commands.init import Answers, run

    answers = Answers(node=node, pacs=pacs, callers=callers, data_dir=data_dir, device=device)
    raise typer.Exit(run(path, answers, yes=yes, test=test))
