"""Diameters of point sets: the longest line, and the widest extent across it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: Up to this many points all pairs are compared at once (2,000^2 distances need 32 MB);
#: above it the points are first thinned to the corners of their convex hull.
ALL_PAIRS_LIMIT = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class LongestLine:
    """The pair of points that lie farthest apart.

    Attributes
    ----------
    start, end : int
        Indices into the point set.
    length : float
        Their distance, in the unit of the points.
    """

    start: int
    end: int
    length: float


def row_ends(voxels: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the first and last true element of each row along the last axis.

    Every corner of the convex hull of the true elements is among them, so the longest
    line of these few is the longest of all.

    Returns
    -------
    ndarray of int64, shape (N, voxels.ndim)
        Indices; an element that is both first and last appears once.
    """
    occupied = np.argwhere(voxels.any(axis=-1))
    rows = voxels[tuple(occupied.T)]
    first = rows.argmax(axis=-1)
    last = rows.shape[-1] - 1 - rows[:, ::-1].argmax(axis=-1)
    ends = np.concatenate([np.column_stack([occupied, first]), np.column_stack([occupied, last])])
    return np.unique(ends, axis=0)


def longest_line(points: NDArray[np.float64]) -> LongestLine:
    """Return the two points that lie farthest apart; the first such pair among equals.

    Parameters
    ----------
    points : ndarray of float64, shape (N, D)
        At least one point. With one point the line has no length.
    """
    candidates = np.arange(len(points))
    if len(points) > ALL_PAIRS_LIMIT:
        candidates = _hull_corners(points)
    best = LongestLine(start=int(candidates[0]), end=int(candidates[0]), length=0.0)
    for begin in range(0, len(candidates), ALL_PAIRS_LIMIT):
        block = candidates[begin : begin + ALL_PAIRS_LIMIT]
        squared = _squared_distances(points[block], points[candidates])
        row, column = np.unravel_index(int(squared.argmax()), squared.shape)
        start, end = int(block[row]), int(candidates[column])
        length = float(np.linalg.norm(points[start] - points[end]))
        if length > best.length:
            best = LongestLine(start=start, end=end, length=length)
    return best


def widest_chord(
    points: NDArray[np.float64], direction: NDArray[np.float64], *, bin_width: float
) -> float:
    """Return the greatest extent across a direction, measured at one place along it.

    This is the line a reader draws at a right angle to the longest diameter, not the
    distance of two outermost points that lie at different heights.

    Parameters
    ----------
    points : ndarray of float64, shape (N, 2)
        All points of the plane figure.
    direction : ndarray of float64, shape (2,)
        Unit vector of the longest diameter.
    bin_width : float
        Points whose places along the direction fall into one bin of this width are
        taken to lie at one place: the pixel spacing.
    """
    along = points @ direction
    across = points @ np.array([-direction[1], direction[0]])
    order = np.argsort(along, kind="stable")
    bins = np.floor((along[order] - along[order[0]]) / bin_width)
    starts = np.concatenate([[0], np.flatnonzero(np.diff(bins)) + 1])
    widths = np.maximum.reduceat(across[order], starts) - np.minimum.reduceat(
        across[order], starts
    )
    return float(widths.max())


def _hull_corners(points: NDArray[np.float64]) -> NDArray[np.int64]:
    from scipy.spatial import (  # type: ignore[import-untyped] # scipy ships no types
        ConvexHull,
        QhullError,
    )

    try:
        return np.sort(ConvexHull(points).vertices).astype(np.int64)
    except QhullError:  # the points lie in a plane or on a line: compare them all
        return np.arange(len(points))


def _squared_distances(
    first: NDArray[np.float64], second: NDArray[np.float64]
) -> NDArray[np.float64]:
    total = np.zeros((len(first), len(second)))
    for axis in range(first.shape[1]):
        total += np.subtract.outer(first[:, axis], second[:, axis]) ** 2
    return total
