"""The classifier: from a triplet of slices to the probability of expansion, and why."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.classification.familiarity import FamiliarityReference, stored_reference
from pipeline.classification.grad_cam import grad_cam
from pipeline.classification.members import load_members
from pipeline.classification.transform import to_batch, to_roi
from pipeline.classification.vit import embeddings
from pipeline.errors import ModelBundleError
from pipeline.model_bundle import ModelBundle, ModelCard
from pipeline.prediction import HeLabel, HePrediction
from pipeline.saliency import SaliencyMaps, SliceSaliency
from pipeline.slice_input import Resizing, SliceInput
from pipeline.triplet import SliceTriplet, TripletSlice, crop_triplet
from pipeline.volume import CtVolume, HematomaMask

#: Classes in the order of the network's outputs, as the card must name them.
CLASS_NAMES = tuple(label.name for label in HeLabel)


class Classifier:
    """Trained vision transformers with their threshold, on one device.

    Parameters
    ----------
    bundle : ModelBundle
        Card and weights of a classification model.
    device : torch.device
        Where the networks run.

    Raises
    ------
    ModelBundleError
        If card and weights do not describe a classifier of windowed slices.
    """

    def __init__(self, bundle: ModelBundle, *, device: torch.device) -> None:
        self._how = bundle.card.slice_input or SliceInput()
        self._threshold, self._input_size = _checked(bundle.card, self._how)
        self._device = device
        self._networks = [network.to(device).eval() for network in load_members(bundle)]
        self._reference = _reference(bundle)
        self._limit = bundle.card.familiarity
        self._operating_points = bundle.card.operating_points or ()

    def warm_up(self) -> None:
        """Run the networks and their explanation once on a black slice."""
        size = self._input_size
        self._heat_maps([np.zeros((size, size), dtype=np.uint8)])

    def crop(self, volume: CtVolume, mask: HematomaMask) -> SliceTriplet:
        """Return the slices as the classifier wants to see them.

        Raises
        ------
        EmptyHematomaError, GeometryError
            As `pipeline.triplet.crop_triplet`.
        """
        return crop_triplet(volume, mask, how=self._how)

    def classify(self, triplet: SliceTriplet) -> HePrediction:
        """Return the probability of expansion, slice by slice."""
        return self.judge([part.image_yx for part in triplet.slices])

    def judge(self, images_yx: Sequence[NDArray[np.uint8]]) -> HePrediction:
        """Return the probability of expansion for the pictures of a triplet.

        Parameters
        ----------
        images_yx : sequence of ndarray of uint8
            Cropped slices in the window, inferior to superior.
        """
        batch = self._batch(images_yx)
        with torch.inference_mode():
            seen = [embeddings(network, batch, how=self._how) for network in self._networks]
            opinions = torch.stack(
                [
                    torch.softmax(network.head(part).double(), dim=1)[:, HeLabel.HE]
                    for network, part in zip(self._networks, seen, strict=True)
                ]
            ).cpu()
        return HePrediction(
            slice_probabilities=tuple(opinions.mean(dim=0).tolist()),
            threshold=self._threshold,
            member_probabilities=(
                tuple(opinions.mean(dim=1).tolist()) if len(opinions) > 1 else ()
            ),
            unfamiliarity=self._unfamiliarity(seen[0]),
            familiarity_limit=self._limit,
            operating_points=self._operating_points,
        )

    def explain(self, triplet: SliceTriplet, prediction: HePrediction) -> SaliencyMaps:
        """Return the Grad-CAM for HE on the pixels of each slice of the triplet.

        That of an ensemble is the mean over its members.

        Raises
        ------
        ValueError
            If the prediction was made for another number of slices.
        """
        if len(prediction.slice_probabilities) != len(triplet.slices):
            raise ValueError(
                f"Prediction is for {len(prediction.slice_probabilities)} slices, "
                f"the triplet has {len(triplet.slices)}"
            )
        maps = self._heat_maps([part.image_yx for part in triplet.slices])
        return SaliencyMaps(
            slices=tuple(
                SliceSaliency(
                    position=part.position,
                    slice_index=part.slice_index,
                    roi=part.roi,
                    heat_yx=_heat(map_yx, part, self._how.resizing),
                )
                for part, map_yx in zip(triplet.slices, maps, strict=True)
            )
        )

    def heat_maps(self, images_yx: Sequence[NDArray[np.uint8]]) -> list[NDArray[np.float32]]:
        """Return the Grad-CAM for HE on the pixels of each picture, 0 to 1."""
        return [
            _scaled(to_roi(map_yx, roi_shape_yx=_two(image), resizing=self._how.resizing))
            for map_yx, image in zip(self._heat_maps(images_yx), images_yx, strict=True)
        ]

    def _heat_maps(self, images_yx: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        batch = self._batch(images_yx)
        maps = [grad_cam(network, batch, how=self._how) for network in self._networks]
        return np.asarray(np.mean(maps, axis=0), dtype=np.float32)

    def _batch(self, images_yx: Sequence[NDArray[np.uint8]]) -> torch.Tensor:
        batch = to_batch(images_yx, input_size=self._input_size, resizing=self._how.resizing)
        return batch.to(self._device)

    def _unfamiliarity(self, slice_embeddings: torch.Tensor) -> float | None:
        if self._reference is None or self._limit is None:
            return None
        return self._reference.distance(slice_embeddings) / self._limit.distance


def _checked(card: ModelCard, how: SliceInput) -> tuple[float, int]:
    """Return threshold and input size of a card that fits this pipeline."""
    window = (how.window.level_hu, how.window.width_hu)
    for name, found, needed in (
        ("task", card.task, "classification"),
        ("class_names", tuple(card.class_names), CLASS_NAMES),
        ("window", None if card.window is None else tuple(card.window), window),
    ):
        if found != needed:
            raise ModelBundleError(f"Card of {card.name}: {name} is {found}, needed {needed}")
    if card.threshold is None or card.input_size is None:
        raise ModelBundleError(f"Card of {card.name} must state threshold and input_size")
    return card.threshold, card.input_size


def _reference(bundle: ModelBundle) -> FamiliarityReference | None:
    """Return the reference of the card's limit; one without the other is refused."""
    reference = stored_reference(bundle.weights)
    if (reference is None) != (bundle.card.familiarity is None):
        raise ModelBundleError(
            f"Card of {bundle.card.name}: familiarity and its reference belong together"
        )
    return reference


def _heat(
    map_yx: NDArray[np.float32], part: TripletSlice, resizing: Resizing
) -> NDArray[np.float32]:
    """Return a map on the native pixels of its slice, scaled to [0, 1]; read-only."""
    shape_yx = (part.roi.y1 - part.roi.y0, part.roi.x1 - part.roi.x0)
    scaled = _scaled(to_roi(map_yx, roi_shape_yx=shape_yx, resizing=resizing))
    scaled.flags.writeable = False
    return scaled


def _scaled(heat_yx: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a map without negative values whose peak, if it has one, is 1."""
    kept = np.clip(heat_yx, 0, None)
    peak = float(kept.max())
    return np.asarray(kept / peak if peak > 0 else kept, dtype=np.float32)


def _two(image_yx: NDArray[np.uint8]) -> tuple[int, int]:
    return image_yx.shape[0], image_yx.shape[1]
