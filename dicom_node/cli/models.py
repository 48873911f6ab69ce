"""The commands of ``ichnode models``: how they are called. Nothing heavy is imported here."""

from pathlib import Path
from typing import Annotated

import typer

from dicom_node.cli.config_option import ConfigOption
from dicom_node.cli.configuration import JsonOption

app = typer.Typer(
    name="models",
    help="Show the models there are, import published ones, and try new ones out.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)
import_app = typer.Typer(
    name="import",
    help="Turn published weights into a bundle that the node can use.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)
app.add_typer(import_app)


@app.command("list")
def list_models(
    folders: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[DIR]...", help="Folders that are bundles or hold some."),
    ] = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Show the models that came with ichnode, and those in your folders.

    Exit code 0: shown. 1: a bundle cannot be read. 2: a folder holds none.

    For example:

        ichnode models list

        ichnode models list /models --json
    """
    from dicom_node.commands.models import run_list

    raise typer.Exit(run_list(folders or [], as_json=as_json))


@app.command()
def show(
    bundle: Annotated[
        str,
        typer.Argument(metavar="BUNDLE", help="Name of a shipped bundle, or a folder."),
    ],
    *,
    as_json: JsonOption = False,
) -> None:
    """Show the card of a model: what it was trained on, how good it is, what it is for.

    Exit code 0: shown. 1: it cannot be read. 2: there is none.

    For example:

        ichnode models show demo-segmentation

        ichnode models show /models/blast-ct --json
    """
    from dicom_node.commands.models import run_show

    raise typer.Exit(run_show(bundle, as_json=as_json))


@app.command()
def shadow(
    bundles: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[BUNDLE]...", help="Segmentation or classification bundle, or one of each."
        ),
    ] = None,
    *,
    off: Annotated[bool, typer.Option("--off", help="End the trial.")] = False,
    config: ConfigOption = None,
) -> None:
    """Put models on trial: they see every new series, send nothing, and are compared.

    Writes the settings file, comments kept, and keeps a copy of it. A model alone is tried
    together with the other one in use.

    For example:

        ichnode models shadow /models/he-2027

        ichnode models shadow --off
    """
    from dicom_node.commands.models_trial import run_shadow

    raise typer.Exit(run_shadow(bundles or [], off=off, config=config))


@app.command()
def promote(
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    config: ConfigOption = None,
) -> None:
    """Let the models on trial take over, after showing how they did beside those in use.

    Refused if they cannot be loaded. Writes the settings file, comments kept, and keeps a copy.
    Only new series get results of the new models.

    For example:

        ichnode models promote

        ichnode models promote --yes --config /etc/ichnode/node.toml
    """
    from dicom_node.commands.models_trial import run_promote

    raise typer.Exit(run_promote(yes=yes, config=config))


@import_app.command("blast-ct")
def import_blast_ct(
    files: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[FILE]...", help="Published .pt files; several: their mean."),
    ] = None,
    *,
    output: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the bundle, new.")],
    fetch: Annotated[
        bool, typer.Option("--fetch", help="Fetch the files from the internet instead.")
    ] = False,
    networks: Annotated[
        str, typer.Option(metavar="NUMBERS", help="Which of the 12 networks to fetch.")
    ] = "1,2",
    source: Annotated[
        str,
        typer.Option(metavar="URL", help="Fetch from a mirror; the checksums stay the same."),
    ] = "",
) -> None:
    """Import BLAST-CT: trained on real patients with brain trauma, Apache-2.0.

    Finds intraparenchymal, extra-axial and intraventricular hemorrhage and oedema. Each network
    takes some 20 s per head on two processor cores. Files that hold more than weights are
    refused. RESEARCH USE ONLY.

    For example:

        ichnode models import blast-ct --fetch --output /models/blast-ct

        ichnode models import blast-ct model_1.pt model_2.pt --output /models/blast-ct
    """
    from dicom_node.commands.models_import import run_blast_ct

    raise typer.Exit(
        run_blast_ct(files or [], output=output, fetch=fetch, networks=networks, source=source)
    )


@import_app.command()
def nnunet(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="DIR", help="Model folder in nnUNet_results: plans.json and fold_N."
        ),
    ],
    *,
    output: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the bundle, new.")],
    fold: Annotated[str, typer.Option(metavar="N", help="Number of the fold, or all.")] = "0",
    checkpoint: Annotated[
        str, typer.Option(metavar="FILE", help="Which checkpoint of the fold.")
    ] = "checkpoint_final.pth",
    hematoma: Annotated[
        str | None,
        typer.Option(metavar="LABEL", help="What the data set calls the hematoma, if not so."),
    ] = None,
    licence: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Terms of the weights, for the card.")
    ] = None,
) -> None:
    """Import a model that you trained with nnU-Net v2 or U-Mamba.

    Reads plans.json, dataset.json and one fold's checkpoint; resampling and normalisation stay
    those of nnU-Net. Checkpoints that would have to be trusted are refused. RESEARCH USE ONLY.

    For example:

        ichnode models import nnunet nnUNetTrainer__nnUNetPlans__3d_fullres --output /models/mine
    """
    from dicom_node.commands.models_import import run_nnunet

    raise typer.Exit(
        run_nnunet(
            folder,
            output=output,
            fold=fold,
            checkpoint=checkpoint,
            hematoma=hematoma,
            licence=licence,
        )
    )
