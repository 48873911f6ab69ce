"""A trained generator as a folder: weights in safetensors, a card that a person can read."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pipeline.errors import ModelBundleError
from pipeline.prediction import HeLabel
from training.synthesis.noise_schedule import NoiseSchedule, Target
from training.synthesis.ukan import RELEASED_ARGUMENTS, UKanDiffusion, load_released

CARD_FILE, WEIGHTS_FILE = "generator.json", "weights.safetensors"

#: Layout version of the card.
CARD_FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneratorCard:
    """What a generator is and whom it has learnt from.

    Attributes
    ----------
    name : str
        Of the generator.
    network : dict
        Arguments of `UKanDiffusion`.
    image_size : int
        Height and width of its images.
    noise : NoiseSchedule
        That it was trained with.
    target : Target
        What the network says of a noisy image.
    learnt_from : tuple of str
        Fingerprints of its training patients (`training.synthesis.provenance`).
    training : dict
        Facts of the training that a reader wants: slices, patients, epochs, seed.
    weights_sha256 : str
        Digest of the weights file, which is the generator's identity.
    """

    name: str
    network: dict[str, Any]
    image_size: int
    noise: NoiseSchedule = field(default_factory=NoiseSchedule)
    target: Target = Target.NOISE
    learnt_from: tuple[str, ...] = ()
    training: dict[str, Any] = field(default_factory=dict)
    weights_sha256: str = ""

    @property
    def is_conditional(self) -> bool:
        """Whether the class is an input of the network."""
        return bool(self.network.get("classes", 0))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Generator:
    """A network that is ready to draw, with its card."""

    card: GeneratorCard
    network: UKanDiffusion


def save_generator(
    folder: Path, card: GeneratorCard, weights: Mapping[str, Tensor]
) -> GeneratorCard:
    """Write weights and card, whole or not at all, and return the card with their digest."""
    from safetensors.torch import save

    folder.mkdir(parents=True, exist_ok=True)
    content = save({name: one.detach().cpu().contiguous() for name, one in weights.items()})
    complete = dataclasses.replace(card, weights_sha256=hashlib.sha256(content).hexdigest())
    text = json.dumps({"format": CARD_FORMAT, **dataclasses.asdict(complete)}, indent=1) + "\n"
    for name, data in ((WEIGHTS_FILE, content), (CARD_FILE, text.encode())):
        partial = folder / f"{name}.part"
        partial.write_bytes(data)
        partial.replace(folder / name)
    return complete


def load_generator(folder: Path, *, device: torch.device | None = None) -> Generator:
    """Return the generator in a folder.

    Raises
    ------
    ModelBundleError
        If a file is missing, altered or of another kind.
    """
    from safetensors.torch import load

    card = load_generator_card(folder)
    try:
        content = (folder / WEIGHTS_FILE).read_bytes()
    except OSError as error:
        raise ModelBundleError(f"{folder / WEIGHTS_FILE} cannot be read: {error}") from error
    found = hashlib.sha256(content).hexdigest()
    if found != card.weights_sha256:
        raise ModelBundleError(
            f"{folder / WEIGHTS_FILE} has digest {found}, its card says {card.weights_sha256}"
        )
    network = UKanDiffusion(**card.network)
    try:
        network.load_state_dict(load(content))
    except RuntimeError as error:
        raise ModelBundleError(f"Weights of {card.name} do not fit its card: {error}") from error
    return Generator(card=card, network=network.to(device or torch.device("cpu")).eval())


def load_generator_card(folder: Path) -> GeneratorCard:
    """Return the card of the generator in a folder.

    Raises
    ------
    ModelBundleError
        If there is none, or its fields are not those of a card.
    """
    path = folder / CARD_FILE
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ModelBundleError(f"{path} is no card of a generator: {error}") from error
    if content.pop("format", None) != CARD_FORMAT:
        raise ModelBundleError(f"{path} is not of format {CARD_FORMAT}")
    try:
        content["noise"] = NoiseSchedule(**content["noise"])
        content["target"] = Target(content.get("target", Target.NOISE))
        content["learnt_from"] = tuple(content["learnt_from"])
        return GeneratorCard(**content)
    except (KeyError, TypeError, ValueError) as error:
        raise ModelBundleError(f"{path}: {error}") from error


def import_released(checkpoint: Path, folder: Path, *, image_size: int) -> GeneratorCard:
    """Turn a checkpoint of the released code into a generator and return its card.

    Nothing in the checkpoint but tensors is read.

    Raises
    ------
    ModelBundleError
        If it is no such checkpoint.
    """
    import pickle

    try:
        state = torch.load(checkpoint, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise ModelBundleError(f"{checkpoint} cannot be read as weights: {error}") from error
    network = UKanDiffusion(**RELEASED_ARGUMENTS)
    load_released(network, state)
    card = GeneratorCard(
        name=checkpoint.stem,
        network={**RELEASED_ARGUMENTS, "steps": NoiseSchedule().steps, "classes": 0},
        image_size=image_size,
        training={"source": "checkpoint of the released code; its patients are not known"},
    )
    return save_generator(folder, card, network.state_dict())


def class_index(label: HeLabel) -> int:
    """Return the index of a class in the network's embedding."""
    return int(label)
