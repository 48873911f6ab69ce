"""An outline in dashes: what is forecast is never drawn as what was measured."""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from skimage.measure import find_contours

#: Length of a dash and of the gap after it, in pixels along the outline.
DASH_PX: Final = 4.0

#: White dashes and black gaps: seen on brain, blood and every colour of the heat map.
DASH: Final = (255, 255, 255)
GAP: Final = (0, 0, 0)


def rim(mask_yx: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the pixels that touch the mask with an edge and do not belong to it, shape (Y, X)."""
    padded = np.pad(mask_yx, 1)
    near = padded[:-2, 1:-1] | padded[2:, 1:-1] | padded[1:-1, :-2] | padded[1:-1, 2:]
    return np.asarray(near & ~mask_yx, dtype=np.bool_)


def draw_dashed(pixels_yxc: NDArray[np.float64], mask_yx: NDArray[np.bool_]) -> None:
    """Draw the outline of a mask on the pixels just outside it, white and black by turns.

    Parameters
    ----------
    pixels_yxc : ndarray of float64, shape (Y, X, 3)
        RGB in [0, 255]; drawn into.
    mask_yx : ndarray of bool, shape (Y, X)
        What is outlined; nothing is drawn for an empty one.
    """
    points, along_px = _contours(mask_yx)
    places = np.argwhere(rim(mask_yx))
    if not len(points) or not len(places):
        return
    # A rim pixel belongs to the dash of the outline's point next to it.
    nearest = np.array([int(np.argmin(np.sum((points - at) ** 2, axis=1))) for at in places])
    is_dash = (along_px[nearest] // DASH_PX).astype(int) % 2 == 0
    rows, columns = places.T
    pixels_yxc[rows[is_dash], columns[is_dash]] = DASH
    pixels_yxc[rows[~is_dash], columns[~is_dash]] = GAP


def _contours(mask_yx: NDArray[np.bool_]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return points on all outlines as row and column, and how far along its own each lies."""
    found = find_contours(  # type: ignore[no-untyped-call]  # scikit-image is not annotated
        np.pad(mask_yx, 1).astype(np.float32), 0.5
    )
    if not found:
        return np.zeros((0, 2)), np.zeros(0)
    lengths = [
        np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(one, axis=0), axis=1))])
        for one in found
    ]
    return np.concatenate(found) - 1, np.concatenate(lengths)
