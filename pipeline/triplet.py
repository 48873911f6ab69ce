"""The three slices that the classifier sees: Max-1, Max, Max+1 on the native grid."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray


class TripletPosition(StrEnum):
    """Place of a slice relative to the one of largest hematoma area, inferior to superior."""

    MAX_MINUS_1 = "max-1"
    MAX = "max"
    MAX_PLUS_1 = "max+1"


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionOfInterest:
    """Rectangle of pixels in one slice, half-open: rows y0..y1-1, columns x0..x1-1."""

    y0: int
    y1: int
    x0: int
    x1: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TripletSlice:
    """One native slice of the triplet, cropped and windowed.

    Attributes
    ----------
    position : TripletPosition
        Relation to the slice of largest area.
    slice_index : int
        Index in the source volume.
    roi : RegionOfInterest
        The rectangle that was cropped.
    image_yx : ndarray of uint8, shape (y1 - y0, x1 - x0)
        Grey levels of the brain window, 0..255. Read-only.
    """

    position: TripletPosition
    slice_index: int
    roi: RegionOfInterest
    image_yx: NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceTriplet:
    """Max-1, Max, Max+1, or which of them is absent and why.

    Attributes
    ----------
    slices : tuple of TripletSlice
        The slices that exist, inferior to superior; Max is always among them.
    absent : tuple of (TripletPosition, str)
        The positions that do not exist, each with a reason.
    """

    slices: tuple[TripletSlice, ...]
    absent: tuple[tuple[TripletPosition, str], ...] = ()
