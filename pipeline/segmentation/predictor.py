"""From a CT volume to class maps on its own grid: whatever a segmentation network is run by."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.finding import Compartment
from pipeline.volume import CtVolume

#: Told how much of the work is done, in [0, 1].
OnProgress = Callable[[float], None]


def ignore_progress(share: float) -> None:
    """Listen to nothing."""
    del share


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ClassMaps:
    """What a network says of every voxel of the source grid.

    Attributes
    ----------
    hematoma_zyx : ndarray of float32, shape (Z, Y, X)
        Probability of intracerebral hematoma.
    compartments : mapping of Compartment to ndarray of bool, shape (Z, Y, X)
        Voxels where another class that the network knows is the most probable one.
    entropy_zyx : ndarray of float32, shape (Z, Y, X), or None
        The network's own doubt in nats; None where it has no other than its probability.
    """

    hematoma_zyx: NDArray[np.float32]
    compartments: Mapping[Compartment, NDArray[np.bool_]] = field(
        default_factory=lambda: MappingProxyType({})
    )
    entropy_zyx: NDArray[np.float32] | None = None


class Predictor(Protocol):
    """A network with everything around it that turns HU into class maps."""

    def warm_up(self) -> None:
        """Run once on nothing, so that the first volume does not pay for it."""

    def predict(self, volume: CtVolume, *, on_progress: OnProgress = ignore_progress) -> ClassMaps:
        """Return the class maps of a volume on its own grid."""
