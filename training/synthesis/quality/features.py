"""Feature networks: what images are compared by, under a name that says which."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.classification.members import load_members
from pipeline.classification.transform import to_batch
from pipeline.classification.vit import embeddings
from pipeline.model_bundle import CARD_FILE, load_bundle
from pipeline.slice_input import Resizing, SliceInput
from training.synthesis.quality.inception import (
    INPUT_SIZE,
    features_and_probabilities,
    load_inception,
)

#: Images through a network at once.
_BATCH = 32


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Described:
    """What a network says of some images.

    Attributes
    ----------
    features : ndarray of float64, shape (N, D)
        Before the last layer.
    probabilities : ndarray of float64, shape (N, C)
        Of the network's classes.
    """

    features: NDArray[np.float64]
    probabilities: NDArray[np.float64]


class FeatureNetwork(Protocol):
    """Something that describes images."""

    @property
    def name(self) -> str:
        """What stands beside every number that was made with it."""

    def describe(self, images_yx: Sequence[NDArray[np.uint8]]) -> Described:
        """Return features and probabilities of slices of any size."""


class InceptionFeatures:
    """Inception v3 with weights in a file: the FID, KID and IS of the papers."""

    def __init__(self, path: Path) -> None:
        self._network = load_inception(path)
        self._name = f"Inception v3 ({path.name})"

    @property
    def name(self) -> str:
        """Inception, with the name of the file."""
        return self._name

    @torch.inference_mode()
    def describe(self, images_yx: Sequence[NDArray[np.uint8]]) -> Described:
        """Return 2048 features and the probabilities of Inception's classes."""
        return _described(
            images_yx, INPUT_SIZE, lambda batch: features_and_probabilities(self._network, batch)
        )


class ClassifierFeatures:
    """The embedding of our own classifier, where no Inception is at hand.

    Its distances are in the classifier's units and must not be compared with anybody's FID. The
    score made of its two classes lies between 1 and 2.
    """

    def __init__(self, bundle: Path) -> None:
        loaded = load_bundle(bundle, task="classification")
        card = loaded.card
        if card.input_size is None:
            raise ValueError(f"Card of {card.name} must state input_size")
        self._size = card.input_size
        self._how = card.slice_input or SliceInput()
        # Of an ensemble the first: what the others see is not in the same units.
        self._network = load_members(loaded)[0].eval()
        self._name = f"own classifier {card.name} {card.version} (not Inception)"

    @property
    def name(self) -> str:
        """The classifier, and that it is no Inception."""
        return self._name

    @torch.inference_mode()
    def describe(self, images_yx: Sequence[NDArray[np.uint8]]) -> Described:
        """Return the embedding before the head and the probabilities of HE and NHE."""

        def forward(batch: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            embedding = embeddings(self._network, batch, how=self._how)
            return embedding, torch.softmax(self._network.head(embedding), dim=1)

        return _described(images_yx, self._size, forward, resizing=self._how.resizing)


def load_features(path: Path) -> FeatureNetwork:
    """Return the network at a path: a folder is a classifier's bundle, a file is Inception.

    Raises
    ------
    ValueError
        If it is neither.
    ModelBundleError
        If the bundle is none of a classifier.
    """
    if (path / CARD_FILE).exists():
        return ClassifierFeatures(path)
    if path.is_file():
        return InceptionFeatures(path)
    raise ValueError(f"{path} is neither a classifier's bundle nor a file of weights")


def _described(
    images_yx: Sequence[NDArray[np.uint8]],
    size: int,
    forward: "Forward",
    *,
    resizing: Resizing = Resizing.PAD,
) -> Described:
    features, probabilities = [], []
    for first in range(0, len(images_yx), _BATCH):
        few = images_yx[first : first + _BATCH]
        batch = to_batch(few, input_size=size, resizing=resizing)
        one, other = forward(batch)
        features.append(one.double().numpy())
        probabilities.append(other.double().numpy())
    return Described(
        features=np.concatenate(features), probabilities=np.concatenate(probabilities)
    )


class Forward(Protocol):
    """From a batch to features and probabilities."""

    def __call__(self, batch: torch.Tensor, /) -> tuple[torch.Tensor, torch.Tensor]:
        """Return both."""
