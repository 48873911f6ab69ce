"""Which part of a slice spoke for expansion: Grad-CAM of the trained classifier."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.triplet import RegionOfInterest, TripletPosition


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SliceSaliency:
    """Grad-CAM of one slice of the triplet.

    Attributes
    ----------
    position : TripletPosition
        Same slice as in the triplet.
    slice_index : int
        Index in the source volume.
    roi : RegionOfInterest
        Rectangle that the map covers on the native pixel grid.
    heat_yx : ndarray of float32, shape (y1 - y0, x1 - x0)
        Relevance for the class HE, scaled to [0, 1] per slice. Read-only.
    """

    position: TripletPosition
    slice_index: int
    roi: RegionOfInterest
    heat_yx: NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class SaliencyMaps:
    """Grad-CAM of all slices of the triplet, same order."""

    slices: tuple[SliceSaliency, ...]
