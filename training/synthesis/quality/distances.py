"""Distances between sets of images by their features, and the inception score.

References
----------
.. [1] M. Heusel et al., "GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash
   Equilibrium", NeurIPS (2017).
.. [2] M. Binkowski et al., "Demystifying MMD GANs", ICLR (2018).
.. [3] T. Salimans et al., "Improved Techniques for Training GANs", NeurIPS (2016).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Features = NDArray[np.float64]

#: Degree of the kernel in [2]_.
_DEGREE = 3

_TWO = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """A mean over subsets with its standard deviation."""

    mean: float
    sd: float


def frechet_distance(first: Features, second: Features) -> float:
    """Return the squared Frechet distance of two normal distributions fitted to features.

    With features of an Inception network this is the FID [1]_. It is biased upwards when there
    are not many more images than features, so only sets of one size may be compared.

    Parameters
    ----------
    first, second : ndarray of float64, shapes (N, D) and (M, D)
        Features of each image.

    Raises
    ------
    ValueError
        If a set has fewer than two images.
    """
    _require_two(first, second)
    means = first.mean(axis=0) - second.mean(axis=0)
    one = np.atleast_2d(np.cov(first, rowvar=False))
    other = np.atleast_2d(np.cov(second, rowvar=False))
    # The root of a product of two covariances has the trace of the root of this symmetric one.
    root = _symmetric_root(one)
    eigenvalues = np.linalg.eigvalsh(root @ other @ root)
    shared = float(np.sqrt(np.clip(eigenvalues, 0, None)).sum())
    return float(means @ means + np.trace(one) + np.trace(other) - 2 * shared)


def kernel_distance(
    first: Features,
    second: Features,
    *,
    rng: np.random.Generator,
    subsets: int = 100,
    subset_size: int = 1000,
) -> Spread:
    """Return the squared maximum mean discrepancy with the cubic kernel, over subsets.

    With features of an Inception network this is the KID [2]_. Unlike the FID it has no bias, so
    it may be negative where the sets are alike.

    Parameters
    ----------
    first, second : ndarray of float64, shapes (N, D) and (M, D)
        Features of each image.
    rng : numpy Generator
        Draws the subsets.
    subsets, subset_size : int
        Subsets drawn without replacement; no larger than the smaller set.

    Raises
    ------
    ValueError
        If a set has fewer than two images.
    """
    _require_two(first, second)
    size = min(subset_size, len(first), len(second))
    values = []
    for _ in range(subsets):
        one = first[rng.choice(len(first), size, replace=False)]
        other = second[rng.choice(len(second), size, replace=False)]
        values.append(squared_discrepancy(one, other))
    return Spread(mean=float(np.mean(values)), sd=float(np.std(values)))


def squared_discrepancy(first: Features, second: Features) -> float:
    """Return the unbiased squared discrepancy of two sets with the kernel (x y / D + 1)^3."""

    def kernel(one: Features, other: Features) -> Features:
        return np.asarray((one @ other.T / one.shape[1] + 1) ** _DEGREE)

    within = 0.0
    for one in (first, second):
        values = kernel(one, one)
        within += float(values.sum() - np.trace(values)) / (len(one) * (len(one) - 1))
    return within - 2 * float(kernel(first, second).mean())


def inception_score(
    probabilities: Features, *, rng: np.random.Generator, parts: int = 10
) -> Spread:
    """Return the exponential of the mutual information of image and predicted class [3]_.

    It lies between 1 and the number of classes. Images are shuffled first: the released code
    takes the parts in the order of the files.

    Parameters
    ----------
    probabilities : ndarray of float64, shape (N, C)
        Of each class for each image.
    rng : numpy Generator
        Shuffles.
    parts : int
        Parts over which mean and deviation are taken.

    Raises
    ------
    ValueError
        If there are fewer images than parts.
    """
    if len(probabilities) < parts:
        raise ValueError(f"{parts} parts need as many images, got {len(probabilities)}")
    scores = []
    for part in np.array_split(rng.permutation(len(probabilities)), parts):
        chosen = probabilities[part]
        marginal = chosen.mean(axis=0)
        with np.errstate(divide="ignore", invalid="ignore"):
            terms = np.where(chosen > 0, chosen * (np.log(chosen) - np.log(marginal)), 0.0)
        scores.append(float(np.exp(terms.sum(axis=1).mean())))
    return Spread(mean=float(np.mean(scores)), sd=float(np.std(scores)))


def _symmetric_root(matrix: Features) -> Features:
    values, vectors = np.linalg.eigh(matrix)
    return np.asarray((vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T)


def _require_two(*sets: Features) -> None:
    for one in sets:
        if len(one) < _TWO:
            raise ValueError(f"A distance of sets needs two images in each, got {len(one)}")
