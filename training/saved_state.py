"""The state of a training on the disk: whole or not there, and never another training's."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch


def save_whole(state: Mapping[str, Any], path: Path) -> None:
    """Write a state, or leave what was there: the file appears by rename."""
    partial = path.with_name(path.name + ".part")
    torch.save(state, partial)
    partial.replace(path)


def load_own(path: Path, identity: Mapping[str, Any], device: torch.device) -> dict[str, Any]:
    """Return the state in a file, if the training that saved it was the same.

    Parameters
    ----------
    path : Path
        What `save_whole` wrote, with its training's identity under ``identity``.
    identity : mapping
        What must be equal for a training to be the same.
    device : torch.device
        Where tensors shall lie.

    Raises
    ------
    ValueError
        If part of the identity differs; the message names the part.
    """
    state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    for name, value in identity.items():
        if state["identity"][name] != value:
            raise ValueError(f"{path.parent} holds a training with other {name}")
    return state
