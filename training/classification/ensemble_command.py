"""The command `ichtrain classification ensemble`."""

from pathlib import Path
from typing import Annotated

import typer

from training.classification.command_options import BundleVersion
from training.command_line import told


def ensemble(
    bundle: Annotated[
        list[Path], typer.Option(help="Bundle of a member; two or more, of different seeds.")
    ],
    validation: Annotated[
        list[Path], typer.Option(help="Folder of the members' validation triplets.")
    ],
    output: Annotated[Path, typer.Option(help="Folder of the ensemble's bundle.")],
    name: Annotated[str, typer.Option(help="Name for the card.")] = "ensemble",
    bundle_version: BundleVersion = "1",
) -> None:
    """Join classifiers to one bundle whose members' spread tells their doubt.

    Threshold and operating points are chosen anew on the validation patients.
    """
    from pipeline.model_bundle import load_bundle
    from training.classification.case import load_cases
    from training.classification.ensemble import join_classifiers

    with told():
        joined = join_classifiers(
            output,
            [load_bundle(path, task="classification") for path in bundle],
            load_cases(validation),
            name=name,
            version=bundle_version,
        )
        typer.echo(f"{joined.card.members} members, threshold {joined.card.threshold:.3f}")
