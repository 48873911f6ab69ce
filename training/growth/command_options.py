"""Options that several commands of the forecast have."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from training.growth.arms import Arm

Pairs = Annotated[Path, typer.Option(help="Folder that `ichtrain growth prepare` filled.")]
Recipe = Annotated[
    Path | None,
    typer.Option(help="TOML; default the paper's, config/training/growth.toml."),
]
RunFolder = Annotated[Path, typer.Option("--run", help="Folder of `ichtrain growth train`.")]
Threads = Annotated[int, typer.Option(min=1, help="CPU threads.")]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]


def named_arms(text: str) -> "list[Arm]":
    """Return the arms in a list such as ``original,synthesis``.

    Raises
    ------
    ValueError
        If one is unknown; the message names those that are known.
    """
    from training.growth.arms import Arm

    names = [part.strip() for part in text.split(",") if part.strip()]
    known = [arm.value for arm in Arm]
    for name in names:
        if name not in known:
            raise ValueError(f"Arm {name!r} is unknown; known: {', '.join(known)}")
    if not names:
        raise ValueError(f"No arm is named; known: {', '.join(known)}")
    return [Arm(name) for name in names]
