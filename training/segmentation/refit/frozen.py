"""The frozen part of a network: from a prepared case to what the pathways see in it."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.model_bundle import ModelBundle
from pipeline.model_card import Intensity
from pipeline.resampling import resample_map
from pipeline.segmentation.blast_ct.engine import pathway_outputs
from pipeline.segmentation.blast_ct.folding import FoldedNetwork, fold
from pipeline.segmentation.blast_ct.view import view_of
from pipeline.segmentation.networks.blast_ct import BlastCt, DeepMedic
from pipeline.segmentation.predictors import load_network
from pipeline.segmentation.sampling import normalise
from pipeline.volume import Vector
from training.cohort.case import HALF_COVERED, IGNORED, Case
from training.segmentation.evaluation import volume_of

#: A voxel is not learnt from if a larger share of it is unknown.
_UNKNOWN_SHARE = 0.25


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Plane:
    """One plane of a case, on the network's grid.

    Attributes
    ----------
    features : Tensor, shape (y, x, C)
        Normalised outputs of the pathways.
    label_yx : ndarray of uint8, shape (y, x)
        As in a case.
    hu_yx : ndarray of float32, shape (y, x)
        Hounsfield units.
    """

    features: torch.Tensor
    label_yx: NDArray[np.uint8]
    hu_yx: NDArray[np.float32]


class FrozenPathways:
    """The pathways of a bundle's only network.

    Parameters
    ----------
    bundle : ModelBundle
        Of BLAST-CT's architecture.

    Raises
    ------
    ValueError
        If the bundle holds another architecture or several networks.
    """

    def __init__(self, bundle: ModelBundle) -> None:
        card = bundle.card
        network = load_network(bundle)
        if not isinstance(network, BlastCt) or len(network.networks) != 1:
            raise ValueError(
                f"{card.name} has architecture {card.architecture} "
                f"{card.architecture_arguments}; a refit needs BlastCt with one network, as "
                "`ichnode models import blast-ct FILE` makes it"
            )
        member = network.networks[0]
        assert isinstance(member, DeepMedic)  # noqa: S101  nn.ModuleList forgets the type
        assert card.spacing_zyx_mm is not None  # noqa: S101  the card has checked both
        assert card.intensity is not None  # noqa: S101
        self.network = member.eval()
        self._folded: FoldedNetwork = fold(self.network, device=torch.device("cpu"))
        self._spacing: Vector = card.spacing_zyx_mm
        self._intensity: Intensity = card.intensity

    @property
    def alive(self) -> torch.Tensor:
        """Which of the joint layers' inputs are given by `planes`."""
        return self._folded.alive

    def planes(self, case: Case) -> Iterator[Plane]:
        """Yield the planes that stand for the slices of a case, from below upwards."""
        volume = volume_of(case)
        view = view_of(volume, self._spacing)
        hematoma, unknown = (
            resample_map((case.label_zyx == value).astype(np.float32), volume.grid, view.grid)
            for value in (1, IGNORED)
        )
        label = (hematoma >= HALF_COVERED).astype(np.uint8)
        label[unknown > _UNKNOWN_SHARE] = IGNORED
        image = torch.from_numpy(normalise(view.hu_zyx, self._intensity))
        outputs = pathway_outputs(self._folded, image, region=view.region, planes=view.planes)
        _, rows, columns = view.region
        for number, features in enumerate(outputs):
            yield Plane(
                features=features,
                label_yx=label[number],
                hu_yx=view.hu_zyx[view.planes[number], rows, columns],
            )
