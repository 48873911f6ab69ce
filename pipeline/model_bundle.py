"""A trained model as a folder: safetensors weights and a JSON card that a person can read.

Nothing is ever unpickled. The card states the digest of the weights file, so that neither can
be exchanged without the other.
"""

import dataclasses
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.card_json import card_from_json, card_to_json
from pipeline.errors import ModelBundleError
from pipeline.model_card import ModelCard

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "ModelBundle",
    "ModelCard",
    "builtin_bundle_path",
    "builtin_bundle_paths",
    "load_bundle",
    "load_card",
    "save_bundle",
    "save_card",
]

CARD_FILE = "card.json"
WEIGHTS_FILE = "weights.safetensors"

_BUILTIN = Path(__file__).parent / "bundles"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ModelBundle:
    """Weights with the card that says what they are.

    Attributes
    ----------
    card : ModelCard
        What the model is for and how its input is made.
    weights : dict of str to Tensor
        State of the network, on the CPU.
    path : Path
        Folder that the bundle was read from or written to.
    """

    card: ModelCard
    weights: "dict[str, Tensor]" = field(repr=False)
    path: Path

    @property
    def digest(self) -> str:
        """SHA-256 of the weights file, hexadecimal."""
        return self.card.weights_sha256


def load_bundle(
    path: Path,
    *,
    task: str | None = None,
    patch_size_zyx: tuple[int, int, int] | None = None,
) -> ModelBundle:
    """Return the bundle in a folder.

    Parameters
    ----------
    path : Path
        Folder with ``card.json`` and ``weights.safetensors``.
    task : str, optional
        What the model is wanted for; another task is refused.
    patch_size_zyx : tuple of int, optional
        Patch that the caller is going to use; weights may be bound to theirs.

    Raises
    ------
    ModelBundleError
        If a file is missing or altered, a field of the card is missing, unknown or impossible,
        or the model is for another task or patch size.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    card = load_card(path)
    if task is not None and card.task != task:
        raise ModelBundleError(f"Model {card.name} is for {card.task}, needed is {task}")
    if patch_size_zyx is not None and card.patch_size_zyx != patch_size_zyx:
        raise ModelBundleError(
            f"Model {card.name} has patch size {card.patch_size_zyx}, needed is {patch_size_zyx}"
        )
    content = _read(path / WEIGHTS_FILE)
    found = hashlib.sha256(content).hexdigest()
    if found != card.weights_sha256:
        raise ModelBundleError(
            f"{path / WEIGHTS_FILE} has digest {found}, its card says {card.weights_sha256}"
        )
    try:
        weights = load(content)
    except SafetensorError as error:
        raise ModelBundleError(f"{path / WEIGHTS_FILE} is no safetensors file: {error}") from error
    return ModelBundle(card=card, weights=weights, path=path)


def load_card(path: Path) -> ModelCard:
    """Return the card of the bundle in a folder, without touching the weights.

    Raises
    ------
    ModelBundleError
        If the card is missing, or a field of it is missing, unknown or impossible.
    """
    return card_from_json(_read(path / CARD_FILE).decode(), where=str(path / CARD_FILE))


def save_bundle(path: Path, card: ModelCard, state_dict: "Mapping[str, Tensor]") -> ModelBundle:
    """Write weights and card to a folder and return the bundle.

    The digest on the card is replaced by that of the weights written.
    """
    from safetensors.torch import save

    weights = {name: value.detach().cpu().contiguous() for name, value in state_dict.items()}
    content = save(weights)
    stated = dataclasses.replace(card, weights_sha256=hashlib.sha256(content).hexdigest())
    path.mkdir(parents=True, exist_ok=True)
    _write(path / WEIGHTS_FILE, content)
    save_card(path, stated)
    return ModelBundle(card=stated, weights=weights, path=path)


def save_card(path: Path, card: ModelCard) -> None:
    """Write a card to a bundle folder whose weights have the digest that it states."""
    _write(path / CARD_FILE, card_to_json(card).encode())


def builtin_bundle_path(name: str) -> Path:
    """Return the folder of a bundle that is shipped with the package.

    Raises
    ------
    ModelBundleError
        If there is none of that name; the message lists those that exist.
    """
    path = _BUILTIN / name
    if not (path / CARD_FILE).is_file():
        known = [bundle.name for bundle in builtin_bundle_paths()]
        raise ModelBundleError(
            f"No bundle {name!r} is shipped; there are: {', '.join(known) or 'none'}"
        )
    return path


def builtin_bundle_paths() -> list[Path]:
    """Return the folders of the bundles that are shipped with the package, by name."""
    return sorted(card.parent for card in _BUILTIN.glob(f"*/{CARD_FILE}"))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelBundleError(f"{path} cannot be read: {error.strerror}") from error


def _write(path: Path, content: bytes) -> None:
    partial: Any = path.with_name(path.name + ".part")
    partial.write_bytes(content)
    partial.replace(path)
