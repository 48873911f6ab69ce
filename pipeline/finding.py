"""What segmentation found in one head: the hematoma, its doubt, and what lies beside it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import GeometryError
from pipeline.volume import HematomaMask


class Compartment(StrEnum):
    """What a network may tell apart from the hematoma. The values are stored; never rename."""

    EXTRA_AXIAL = "extra_axial_hemorrhage"  #: epidural, subdural and subarachnoid blood
    EDEMA = "perihematomal_edema"  #: oedema around the hematoma
    INTRAVENTRICULAR = "intraventricular_hemorrhage"  #: blood in the ventricles


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeRange:
    """Range that holds the true volume with a stated probability.

    Attributes
    ----------
    low_ml, high_ml : float
        Ends of the range in millilitres.
    level : float
        Probability, e.g. 0.95.

    Raises
    ------
    ValueError
        If the ends are negative or in the wrong order, or the level is no probability.
    """

    low_ml: float
    high_ml: float
    level: float = 0.95

    def __post_init__(self) -> None:
        if not 0 <= self.low_ml <= self.high_ml:
            raise ValueError(f"A volume range rises from 0, got {self.low_ml}..{self.high_ml} mL")
        if not 0 < self.level < 1:
            raise ValueError(f"The level of a range lies in (0, 1), got {self.level}")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Segmentation:
    """The outcome of segmenting one volume, everything on its own grid.

    Attributes
    ----------
    hematoma : HematomaMask
        Intracerebral hematoma; empty if there is none.
    compartments : mapping of Compartment to HematomaMask
        What else the network can tell apart; a compartment that it knows but did not find is
        an empty mask, one that it does not know is absent.
    volume_range : VolumeRange or None
        Where the true volume lies; None if the model has no fitted error.
    uncertainty_zyx : ndarray of float32, shape (Z, Y, X), or None
        Entropy of the voxels' classes in nats; read-only.

    Raises
    ------
    GeometryError
        If the uncertainty has another shape than the mask.
    """

    hematoma: HematomaMask
    compartments: Mapping[Compartment, HematomaMask] = field(
        default_factory=lambda: MappingProxyType({})
    )
    volume_range: VolumeRange | None = None
    uncertainty_zyx: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        if self.uncertainty_zyx is None:
            return
        expected = self.hematoma.grid.shape_zyx
        if self.uncertainty_zyx.shape != expected:
            raise GeometryError(
                f"Uncertainty has shape {self.uncertainty_zyx.shape}, its mask {expected}"
            )
        read_only = self.uncertainty_zyx.view()
        read_only.flags.writeable = False
        object.__setattr__(self, "uncertainty_zyx", read_only)
