"""The option that names a settings file, the same for every command."""

from pathlib import Path
from typing import Annotated

import typer

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help="Settings file. Default: $ICHNODE_CONFIG, ./config/node.toml, or the shipped one.",
    ),
]
