"""Weights that a classifier starts from: a file, or timm's local cache."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

#: Endings of files that hold a pickled state; only plain tensors are read from them.
_PICKLED = (".pth", ".pt", ".bin")

_CACHED_FILE = "model.safetensors"


def find_initial_weights(
    path: Path | None, architecture: str
) -> Mapping[str, torch.Tensor] | None:
    """Return the weights of a file, else those of the architecture's tag in timm's cache.

    None if there is neither: the network then starts from random weights.

    Raises
    ------
    ValueError
        As `read_initial_weights`.
    """
    found = path or cached_weights(architecture)
    return None if found is None else read_initial_weights(found)


def read_initial_weights(path: Path) -> Mapping[str, torch.Tensor]:
    """Return the weights in a file of safetensors or of torch, without running code of it.

    Raises
    ------
    ValueError
        If the file is of another kind, or holds anything but named tensors.
    """
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(path)
    if path.suffix not in _PICKLED:
        raise ValueError(f"{path.name} is neither .safetensors nor {', '.join(_PICKLED)}")
    found: Any = torch.load(path, map_location="cpu", weights_only=True)
    if isinstance(found, dict) and isinstance(found.get("model"), dict):
        found = found["model"]
    if not isinstance(found, dict) or not all(
        isinstance(value, torch.Tensor) for value in found.values()
    ):
        raise ValueError(f"{path.name} holds no weights by name")
    return found


def cached_weights(architecture: str) -> Path | None:
    """Return where the weights of a timm model lie in the local cache, None if nowhere.

    Nothing is downloaded.
    """
    from huggingface_hub import try_to_load_from_cache

    if "." not in architecture:  # no tag: nothing says which weights are meant
        return None
    found = try_to_load_from_cache(repo_id=f"timm/{architecture}", filename=_CACHED_FILE)
    return Path(found) if isinstance(found, str) else None
