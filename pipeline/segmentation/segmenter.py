"""From a CT volume to its hematoma, by a network and its card."""

from types import MappingProxyType

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.errors import ModelBundleError
from pipeline.finding import Segmentation, VolumeRange
from pipeline.measurement import volume_ml
from pipeline.model_bundle import ModelBundle
from pipeline.model_card import ModelCard
from pipeline.segmentation.components import keep_large_components
from pipeline.segmentation.enclosure import keep_intracranial_components
from pipeline.segmentation.inference_options import InferenceOptions
from pipeline.segmentation.predictor import ClassMaps, OnProgress, Predictor, ignore_progress
from pipeline.segmentation.predictors import build_predictor
from pipeline.volume import CtVolume, HematomaMask
from pipeline.volume_error import binary_entropy, volume_scale_ml


class Segmenter:
    """A segmentation network ready for use.

    Parameters
    ----------
    card : ModelCard
        Card of a segmentation model: cutoff and floor are fitted with its weights.
    predictor : Predictor
        Whatever runs the network.

    Raises
    ------
    ModelBundleError
        If the card is for another task.
    """

    def __init__(self, card: ModelCard, predictor: Predictor) -> None:
        if card.task != "segmentation":
            raise ModelBundleError(f"Model {card.name} is for {card.task}, needed is segmentation")
        assert card.minimum_component_ml is not None  # noqa: S101  the card has checked both
        assert card.probability_cutoff is not None  # noqa: S101
        self.card = card
        self._cutoff = card.probability_cutoff
        self._floor_ml = card.minimum_component_ml
        self._predictor = predictor

    def warm_up(self) -> None:
        """Run the network once on nothing."""
        self._predictor.warm_up()

    def segment(
        self, volume: CtVolume, *, on_progress: OnProgress = ignore_progress
    ) -> Segmentation:
        """Return the hematoma, and what else the network knows, on the volume's own grid.

        Parts below the card's floor and parts that do not lie inside the skull are dropped.
        The volume's range follows from the error that the card states, if it does; the
        uncertainty is the network's own, or else the entropy of its probability.
        """
        return self.findings(self._predictor.predict(volume, on_progress=on_progress), volume)

    def predict(self, volume: CtVolume) -> ClassMaps:
        """Return the network's class maps on the volume's own grid, before any rule."""
        return self._predictor.predict(volume)

    def findings(self, maps: ClassMaps, volume: CtVolume) -> Segmentation:
        """Return what follows from the class maps of a volume, as in `segment`."""
        found = HematomaMask(voxels_zyx=maps.hematoma_zyx >= self._cutoff, grid=volume.grid)
        large = keep_large_components(found, self._floor_ml)
        hematoma = keep_intracranial_components(large, volume)
        entropy = maps.entropy_zyx
        return Segmentation(
            hematoma=hematoma,
            compartments=MappingProxyType(
                {
                    name: HematomaMask(voxels_zyx=voxels, grid=volume.grid)
                    for name, voxels in maps.compartments.items()
                }
            ),
            volume_range=self._volume_range(maps.hematoma_zyx, hematoma),
            uncertainty_zyx=binary_entropy(maps.hematoma_zyx) if entropy is None else entropy,
        )

    def _volume_range(
        self, probability_zyx: NDArray[np.float32], hematoma: HematomaMask
    ) -> VolumeRange | None:
        error = self.card.volume_error
        if error is None or hematoma.is_empty:
            return None
        scale_ml = volume_scale_ml(
            probability_zyx,
            hematoma,
            floor_ml=error.floor_ml,
            outer_probability=error.outer_probability,
            inner_probability=error.inner_probability,
        )
        return error.range_of(volume_ml(hematoma), scale_ml=scale_ml)

    def probability(self, volume: CtVolume) -> NDArray[np.float32]:
        """Return the probability of hematoma on the volume's own grid, shape (Z, Y, X)."""
        return self.predict(volume).hematoma_zyx


def load_segmenter(
    bundle: ModelBundle,
    *,
    device: torch.device,
    step: float = 0.5,
    mirror_axes: tuple[int, ...] = (),
    compiled: bool = False,
) -> Segmenter:
    """Return the segmenter that a bundle describes.

    Parameters
    ----------
    bundle : ModelBundle
        Card and weights of a segmentation model.
    device : torch.device
        Where the network runs.
    step : float
        Distance between tiles as a share of their size.
    mirror_axes : tuple of int
        Axes over which mirrored copies are averaged in; x (2) is left and right.
    compiled : bool
        Whether the network goes through ``torch.compile``.

    Raises
    ------
    ModelBundleError
        If the bundle is for another task or its weights do not fit its architecture.
    """
    if bundle.card.task != "segmentation":
        raise ModelBundleError(
            f"Model {bundle.card.name} is for {bundle.card.task}, needed is segmentation"
        )
    options = InferenceOptions(
        device=device, step=step, mirror_axes=mirror_axes, compiled=compiled
    )
    return Segmenter(bundle.card, build_predictor(bundle, options))
