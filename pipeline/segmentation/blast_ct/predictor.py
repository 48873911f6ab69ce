"""BLAST-CT on a whole scan: to 1 mm, through the networks, back to the scan's own grid."""

from collections.abc import Sequence
from functools import partial
from types import MappingProxyType

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.errors import ModelBundleError
from pipeline.finding import Compartment
from pipeline.model_bundle import ModelBundle
from pipeline.model_card import ModelCard
from pipeline.resampling import resample_map
from pipeline.segmentation.blast_ct.engine import class_probabilities
from pipeline.segmentation.blast_ct.folding import fold
from pipeline.segmentation.blast_ct.view import view_of
from pipeline.segmentation.head_crop import Box
from pipeline.segmentation.inference_options import InferenceOptions
from pipeline.segmentation.networks.blast_ct import CLASSES, BlastCt, DeepMedic
from pipeline.segmentation.predictor import ClassMaps, OnProgress, ignore_progress
from pipeline.segmentation.predictors import load_network
from pipeline.segmentation.sampling import normalise
from pipeline.volume import AIR_HU, CtVolume

#: Side of the scan of air that warms the networks up.
_WARM_UP_VOXELS = 15

HEMATOMA = "hematoma"


class BlastCtPredictor:
    """An ensemble of BLAST-CT networks ready for whole scans.

    Parameters
    ----------
    card : ModelCard
        Card of the bundle; its class names say what the outputs are.
    network : BlastCt
        With its weights.
    device : torch.device
        Where it runs.
    bfloat16 : bool
        Whether the convolutions multiply in bfloat16, see `fold`.

    Raises
    ------
    ModelBundleError
        If the card's classes are not five, with the hematoma and known compartments.
    """

    def __init__(
        self, card: ModelCard, network: BlastCt, *, device: torch.device, bfloat16: bool = False
    ) -> None:
        assert card.spacing_zyx_mm is not None  # noqa: S101  the card has checked these three
        assert card.intensity is not None  # noqa: S101
        assert card.probability_cutoff is not None  # noqa: S101
        self._spacing = card.spacing_zyx_mm
        self._intensity = card.intensity
        self._cutoff = card.probability_cutoff
        self._hematoma, self._compartments = _outputs(card)
        self._device = device
        self._networks = []
        for member in network.networks:
            assert isinstance(member, DeepMedic)  # noqa: S101  nn.ModuleList forgets the type
            self._networks.append(fold(member.eval(), device=device, bfloat16=bfloat16))

    def warm_up(self) -> None:
        """Run the networks once on air."""
        side = slice(0, _WARM_UP_VOXELS)
        air = np.full((_WARM_UP_VOXELS,) * 3, AIR_HU, dtype=np.float32)
        self._probabilities(air, (side, side, side), [0, 5, 10], ignore_progress)

    def predict(self, volume: CtVolume, *, on_progress: OnProgress = ignore_progress) -> ClassMaps:
        """Return hematoma and compartments on the volume's own grid.

        A voxel belongs to a compartment if that is its most probable class and its probability
        of hematoma stays below the card's cutoff. Outside the head nothing is found.
        """
        view = view_of(volume, self._spacing)
        shares = self._probabilities(view.hu_zyx, view.region, view.planes, on_progress)
        own = [resample_map(share, view.grid, volume.grid) for share in shares[1:]]
        maps = ClassMaps(
            hematoma_zyx=own[self._hematoma - 1],
            compartments=MappingProxyType(self._compartments_of(own)),
        )
        on_progress(1.0)
        return maps

    def _compartments_of(
        self, own: list[NDArray[np.float32]]
    ) -> dict[Compartment, NDArray[np.bool_]]:
        """Return which voxels belong to which compartment, from the classes but background.

        Slice by slice: what is compared many times stays in the processor's cache.
        """
        found = {name: np.zeros(own[0].shape, dtype=bool) for name in self._compartments}
        for z, shares in enumerate(zip(*own, strict=True)):
            free = shares[self._hematoma - 1] < self._cutoff
            largest = np.maximum.reduce([_background(shares), *shares])
            for name, index in self._compartments.items():
                share = shares[index - 1]
                found[name][z] = free & (share == largest) & (share > 0)
                free &= ~found[name][z]
        return found

    def _probabilities(
        self,
        hu_zyx: NDArray[np.float32],
        region: Box,
        planes: list[int],
        on_progress: OnProgress,
    ) -> NDArray[np.float32]:
        """Return the networks' mean softmax, shape (5, P, y, x)."""
        image = torch.from_numpy(normalise(hu_zyx, self._intensity)).to(self._device)
        count = len(self._networks)
        shares = [
            class_probabilities(
                network,
                image,
                region=region,
                planes=planes,
                on_progress=partial(_tell_part, on_progress, number, count),
            )
            for number, network in enumerate(self._networks)
        ]
        return np.asarray(np.mean(shares, axis=0, dtype=np.float32))


def blast_ct_predictor(bundle: ModelBundle, options: InferenceOptions) -> BlastCtPredictor:
    """Return the predictor of a bundle of BLAST-CT networks.

    The scan is looked at in one piece, whatever the options say of tiles. Published networks
    answer exactly as published unless the options ask for bfloat16, which is twice as fast and
    moves one or two voxels in a thousand of a bleed.

    Raises
    ------
    ModelBundleError
        If the weights do not fit the card, or its classes are not those of BLAST-CT.
    """
    network = load_network(bundle)
    assert isinstance(network, BlastCt)  # noqa: S101  chosen by the card's architecture
    return BlastCtPredictor(
        bundle.card, network, device=options.device, bfloat16=bool(options.bfloat16)
    )


def _background(shares: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Return what other classes leave over."""
    left = 1 - shares[0]
    for share in shares[1:]:
        left -= share
    return left


def _tell_part(on_progress: OnProgress, done: int, count: int, share: float) -> None:
    """Tell the progress of one of several equal parts."""
    on_progress((done + share) / count)


def _outputs(card: ModelCard) -> tuple[int, dict[Compartment, int]]:
    """Return the output of the hematoma and those of the compartments."""
    names = card.class_names
    if len(names) != CLASSES or HEMATOMA not in names[1:]:
        raise ModelBundleError(
            f"Card of {card.name}: BlastCt has {CLASSES} classes, one of them called hematoma "
            f"and none of it the first; got {', '.join(names)}"
        )
    known = {str(one): one for one in Compartment}
    compartments = {
        known[name]: index for index, name in enumerate(names) if index > 0 and name in known
    }
    if len(compartments) != CLASSES - 2:
        raise ModelBundleError(
            f"Card of {card.name}: class names beside {names[0]} and {HEMATOMA} must be "
            f"{', '.join(known)}; got {', '.join(names)}"
        )
    return names.index(HEMATOMA), compartments
