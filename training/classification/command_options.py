"""Options that several commands of `ichtrain classification` share."""

from pathlib import Path
from typing import Annotated

import typer

TripletFolders = Annotated[
    list[Path], typer.Option("--triplets", help="Folder of triplets; may be given repeatedly.")
]
Recipe = Annotated[
    Path, typer.Option(help="Recipe, e.g. config/training/npj_classification.toml.")
]
SplitFile = Annotated[
    Path | None,
    typer.Option(help="JSON with the patients in train, validation and test."),
]
Initial = Annotated[
    Path | None,
    typer.Option(
        help="Weights to start from, .safetensors or .pth; default those of timm's local cache."
    ),
]
CohortName = Annotated[
    str | None,
    typer.Option(help="Name of the data for the card; without it they are called simulated."),
]
BundleVersion = Annotated[str, typer.Option(help="Version written into the card.")]
Bundle = Annotated[Path, typer.Option(help="Folder of a classification bundle.")]
Threads = Annotated[int, typer.Option(min=1, help="CPU threads.")]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
