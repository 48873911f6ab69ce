"""The command `ichtrain segmentation join`."""

from pathlib import Path
from typing import Annotated, Literal

import typer


def join(
    bundles: Annotated[list[Path], typer.Argument(help="Bundles to be joined, two or more.")],
    facts: Annotated[
        Path,
        typer.Option(help="JSON with name, version, intended_use, probability_cutoff ..."),
    ],
    output: Annotated[Path, typer.Option(help="Folder of the new bundle; made if absent.")],
    *,
    rule: Annotated[
        Literal["mean", "largest"],
        typer.Option(help="Mean of their probabilities, or the largest of them."),
    ] = "mean",
    effort: Annotated[
        list[float] | None,
        typer.Option(help="Time of each in proportion, for progress bars; default: all alike."),
    ] = None,
    half: Annotated[
        bool, typer.Option("--half", help="Store matrices in half precision.")
    ] = False,
) -> None:
    """Join bundles to one whose probability of hematoma is made of theirs.

    The networks may be of different kinds: each keeps its grid and its way through a scan. Choose
    rule and cutoff on patients that none of them was trained on, and judge on others.

    Example: ichtrain segmentation join ~/bundles/first ~/bundles/second --facts facts.json
    --output ~/bundles/both
    """
    import json

    from pipeline.model_bundle import load_bundle
    from pipeline.segmentation.ensemble import Rule
    from training.segmentation.ensemble import join_segmenters

    made = join_segmenters(
        output,
        [load_bundle(path, task="segmentation") for path in bundles],
        rule=Rule(rule),
        efforts=effort or [1.0] * len(bundles),
        facts=json.loads(facts.read_text()),
        half=half,
    )
    typer.echo(f"{output}: {made.digest}")
