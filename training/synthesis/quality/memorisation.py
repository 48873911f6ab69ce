"""The memorisation check: whether images lie nearer to a learnt slice than patients do."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.classification.transform import to_batch

#: Images are compared at so many pixels a side; noise averages out, anatomy remains.
COMPARED_SIZE = 32

#: Share of real slices that lie nearer to another patient than the limit, by definition.
EXPECTED_SHARE = 0.05

#: An image at less than this part of the limit is called a copy.
_COPY = 1 / 3


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Memorisation:
    """How near synthetic images lie to what was learnt.

    Attributes
    ----------
    distances : ndarray of float64, shape (N,)
        Of each synthetic image to the nearest learnt slice or its mirror image: root mean
        square difference in grey levels.
    nearest : ndarray of int64, shape (N,)
        Place of that slice.
    limit : float
        5 % of the learnt slices have a slice of another patient nearer than this.
    too_near : float
        Share of synthetic images below the limit; 0.05 is what new patients would show.
    copies : float
        Share below a third of the limit.
    median_ratio : float
        Median distance as part of the median between patients; 1 is what new patients would show.
    """

    distances: NDArray[np.float64]
    nearest: NDArray[np.int64]
    limit: float
    too_near: float
    copies: float
    median_ratio: float


def check_memorisation(
    synthetic: Sequence[NDArray[np.uint8]],
    learnt: Sequence[NDArray[np.uint8]],
    *,
    patients: Sequence[str],
) -> Memorisation:
    """Return how near synthetic images lie to the slices that the generator has learnt.

    Parameters
    ----------
    synthetic, learnt : sequence of ndarray of uint8
        Slices at native size.
    patients : sequence of str
        Patient of each learnt slice. Slices of one patient are alike and are not compared.

    Raises
    ------
    ValueError
        If the learnt slices are of fewer than two patients.
    """
    if len(set(patients)) < 2:  # noqa: PLR2004  another patient is needed
        raise ValueError("Distances between patients need two patients")
    points = _points(learnt)
    mirrored = points.reshape(-1, COMPARED_SIZE, COMPARED_SIZE).flip(-1).flatten(1)
    new = _root_mean_square(_points(synthetic), points, mirrored)
    between = _root_mean_square(points, points, mirrored)
    who = np.array(patients)
    between[who[:, None] == who[None]] = np.inf
    others = between.min(axis=1)
    distances = new.min(axis=1)
    limit = float(np.quantile(others, EXPECTED_SHARE))
    return Memorisation(
        distances=distances,
        nearest=new.argmin(axis=1),
        limit=limit,
        too_near=float(np.mean(distances < limit)),
        copies=float(np.mean(distances < _COPY * limit)),
        median_ratio=float(np.median(distances) / np.median(others)),
    )


def _points(images: Sequence[NDArray[np.uint8]]) -> torch.Tensor:
    return to_batch(images, input_size=COMPARED_SIZE).flatten(1).double() * 127.5


def _root_mean_square(
    images: torch.Tensor, learnt: torch.Tensor, mirrored: torch.Tensor
) -> NDArray[np.float64]:
    nearer = torch.minimum(torch.cdist(images, learnt), torch.cdist(images, mirrored))
    return np.asarray((nearer / COMPARED_SIZE).numpy(), dtype=np.float64)
