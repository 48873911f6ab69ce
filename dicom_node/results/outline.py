"""Outlines and lines in the image coordinates of structured reports.

Spatial coordinates (SCOORD) are pairs of column and row whose origin is the outer corner of
the top left pixel, so that the centre of that pixel is (0.5, 0.5) (PS3.3, C.18.6.1.2).
"""

import numpy as np
from numpy.typing import NDArray
from skimage.measure import find_contours

from pipeline.measurement import AxialDiameter
from pipeline.triplet import RegionOfInterest

#: Distance from a pixel's corner to its centre.
_CENTRE = 0.5
#: Points that lie closer than this to the line between their neighbours are left out, in pixels.
_TOLERANCE = 0.25
#: Half way between air and water: soft tissue begins above it.
_TISSUE_HU = -500


def hematoma_outline(mask_yx: NDArray[np.bool_]) -> NDArray[np.float64] | None:
    """Return the closed outline of the largest part of the mask, shape (N, 2), or None.

    Parameters
    ----------
    mask_yx : ndarray of bool, shape (Y, X)
        One slice of the mask.

    Returns
    -------
    ndarray of float64, shape (N, 2), or None
        Column and row, half way between inside and outside; first point equals last. None
        where the slice holds no hematoma.
    """
    from skimage.measure import approximate_polygon  # loads half of SciPy

    contours = find_contours(  # type: ignore[no-untyped-call]  # scikit-image is not annotated
        np.pad(mask_yx, 1).astype(np.float32), 0.5
    )
    if not contours:
        return None
    largest = max(contours, key=_enclosed_area)
    simple = approximate_polygon(largest - 1, _TOLERANCE)  # type: ignore[no-untyped-call]  # likewise
    return np.asarray(simple[:, ::-1] + _CENTRE, dtype=np.float64)


def roi_outline(roi: RegionOfInterest) -> NDArray[np.float64]:
    """Return the closed border of a half-open rectangle of pixels, shape (5, 2)."""
    return np.array(
        [
            (roi.x0, roi.y0),
            (roi.x1, roi.y0),
            (roi.x1, roi.y1),
            (roi.x0, roi.y1),
            (roi.x0, roi.y0),
        ],
        dtype=np.float64,
    )


def head_outline(hu_yx: NDArray[np.int16]) -> NDArray[np.float64]:
    """Return the rectangle around everything denser than air, shape (5, 2).

    A slice that holds nothing but air is enclosed as a whole.
    """
    rows, columns = np.nonzero(hu_yx > _TISSUE_HU)
    if rows.size == 0:
        return roi_outline(RegionOfInterest(y0=0, y1=hu_yx.shape[0], x0=0, x1=hu_yx.shape[1]))
    return roi_outline(
        RegionOfInterest(
            y0=int(rows.min()),
            y1=int(rows.max()) + 1,
            x0=int(columns.min()),
            x1=int(columns.max()) + 1,
        )
    )


def diameter_line(diameter: AxialDiameter) -> NDArray[np.float64]:
    """Return both ends of the diameter as column and row, shape (2, 2)."""
    return np.array([diameter.start_yx[::-1], diameter.end_yx[::-1]], dtype=np.float64) + _CENTRE


def _enclosed_area(contour: NDArray[np.float64]) -> float:
    y, x = contour[:, 0], contour[:, 1]
    return float(abs(np.dot(y[:-1], x[1:]) - np.dot(x[:-1], y[1:])) / 2)
