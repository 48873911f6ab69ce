"""The classifier: from a triplet of slices to the probability of expansion, and why."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.classification.grad_cam import grad_cam
from pipeline.classification.transform import to_batch, to_roi
from pipeline.classification.vit import build_vit, logits
from pipeline.errors import ModelBundleError
from pipeline.model_bundle import ModelBundle, ModelCard
from pipeline.prediction import HeLabel, HePrediction
from pipeline.saliency import SaliencyMaps, SliceSaliency
from pipeline.triplet import SliceTriplet
from pipeline.windowing import BRAIN_WINDOW

if TYPE_CHECKING:
    from timm.models.vision_transformer import VisionTransformer

#: Classes in the order of the network's outputs, as the card must name them.
CLASS_NAMES = tuple(label.name for label in HeLabel)


class Classifier:
    """A trained vision transformer with its threshold, on one device.

    Parameters
    ----------
    bundle : ModelBundle
        Card and weights of a classification model.
    device : torch.device
        Where the network runs.

    Raises
    ------
    ModelBundleError
        If card and weights do not describe a classifier of brain-window slices.
    """

    def __init__(self, bundle: ModelBundle, *, device: torch.device) -> None:
        self._threshold, self._input_size = _checked(bundle.card)
        self._device = device
        self._network = _loaded(bundle).to(device).eval()

    def warm_up(self) -> None:
        """Run the network and its explanation once on a black slice."""
        size = self._input_size
        grad_cam(self._network, self._batch([np.zeros((size, size), dtype=np.uint8)]))

    def classify(self, triplet: SliceTriplet) -> HePrediction:
        """Return the probability of expansion, slice by slice."""
        return self.judge([part.image_yx for part in triplet.slices])

    def judge(self, images_yx: Sequence[NDArray[np.uint8]]) -> HePrediction:
        """Return the probability of expansion for the pictures of a triplet.

        Parameters
        ----------
        images_yx : sequence of ndarray of uint8
            Cropped slices in the brain window, inferior to superior.
        """
        with torch.inference_mode():
            outputs = logits(self._network, self._batch(images_yx))
            probabilities = torch.softmax(outputs.double(), dim=1)[:, HeLabel.HE]
        return HePrediction(
            slice_probabilities=tuple(probabilities.cpu().tolist()), threshold=self._threshold
        )

    def explain(self, triplet: SliceTriplet, prediction: HePrediction) -> SaliencyMaps:
        """Return the Grad-CAM for HE on the pixels of each slice of the triplet.

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
        maps = grad_cam(self._network, self._batch([part.image_yx for part in triplet.slices]))
        return SaliencyMaps(
            slices=tuple(
                SliceSaliency(
                    position=part.position,
                    slice_index=part.slice_index,
                    roi=part.roi,
                    heat_yx=_heat(map_yx, part.image_yx.shape),
                )
                for part, map_yx in zip(triplet.slices, maps, strict=True)
            )
        )

    def _batch(self, images_yx: Sequence[NDArray[np.uint8]]) -> torch.Tensor:
        return to_batch(images_yx, input_size=self._input_size).to(self._device)


def _checked(card: ModelCard) -> tuple[float, int]:
    """Return threshold and input size of a card that fits this pipeline."""
    window = (BRAIN_WINDOW.level_hu, BRAIN_WINDOW.width_hu)
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


def _loaded(bundle: ModelBundle) -> "VisionTransformer":
    card = bundle.card
    network = build_vit(card.architecture, card.architecture_arguments)
    if tuple(network.patch_embed.img_size) != (card.input_size, card.input_size):
        raise ModelBundleError(
            f"Card of {card.name}: input_size is {card.input_size}, "
            f"the network takes {network.patch_embed.img_size}"
        )
    try:
        network.load_state_dict(bundle.weights)
    except RuntimeError as error:
        raise ModelBundleError(f"Weights of {card.name} do not fit its card: {error}") from error
    return network


def _heat(map_yx: NDArray[np.float32], roi_shape_yx: tuple[int, ...]) -> NDArray[np.float32]:
    """Return a map on the pixels of its slice, scaled to [0, 1]; read-only."""
    heat_yx = np.clip(to_roi(map_yx, roi_shape_yx=(roi_shape_yx[0], roi_shape_yx[1])), 0, None)
    peak = float(heat_yx.max())
    scaled = heat_yx / peak if peak > 0 else heat_yx
    scaled.flags.writeable = False
    return scaled
