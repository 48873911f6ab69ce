"""The reference and the limit by which a classifier knows patients unlike its own.

References
----------
.. [1] O. Ledoit, M. Wolf, "A well-conditioned estimator for large-dimensional covariance
   matrices", J. Multivar. Anal. 88 (2004) 365-411.
"""

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.classification.familiarity import FamiliarityReference
from pipeline.operating_point import FamiliarityLimit

#: Variances below this part of the mean one are held there, lest a constant embedding divides
#: by nothing.
_LEAST_VARIANCE = 1e-6

#: Where all cases are one and the same, anything else is unfamiliar.
_SMALLEST_DISTANCE = 1e-6


def fit_reference(embeddings: torch.Tensor) -> FamiliarityReference:
    """Return mean and whitening of training cases' embeddings.

    The covariance is shrunk towards a ball by Ledoit and Wolf's rule [1]_, since there may be
    fewer cases than dimensions.

    Parameters
    ----------
    embeddings : Tensor of float32, shape (N, D)
        One row for each case.

    Raises
    ------
    ValueError
        If there are fewer than two cases.
    """
    if len(embeddings) < 2:  # noqa: PLR2004  one case has no spread
        raise ValueError(f"Familiarity needs two training cases, got {len(embeddings)}")
    values = embeddings.double().numpy()
    mean = values.mean(axis=0)
    variances, axes = np.linalg.eigh(shrunk_covariance(values))
    held = np.maximum(variances, _LEAST_VARIANCE * max(float(variances.mean()), 1e-12))
    return FamiliarityReference(
        mean=torch.from_numpy(mean).float(),
        whitening=torch.from_numpy(np.ascontiguousarray(axes / np.sqrt(held))).float(),
    )


def shrunk_covariance(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the Ledoit-Wolf covariance [1]_ of rows, shape (D, D)."""
    count, size = values.shape
    centred = values - values.mean(axis=0)
    sample = centred.T @ centred / count
    ball = np.trace(sample) / size
    distance = ((sample - ball * np.eye(size)) ** 2).sum()
    # mean over cases of the squared distance of x x' from the sample covariance
    spread = ((centred**2).sum(axis=1) ** 2).mean() - (sample**2).sum()
    share = 1.0 if distance == 0 else min(spread / count / distance, 1.0)
    return np.asarray((1 - share) * sample + share * ball * np.eye(size), dtype=np.float64)


def fit_limit(
    reference: FamiliarityReference, embeddings: torch.Tensor, *, share: float
) -> FamiliarityLimit:
    """Return the distance within which a share of validation cases lies.

    Parameters
    ----------
    reference : FamiliarityReference
        Of training cases.
    embeddings : Tensor of float32, shape (N, D)
        Of validation cases, which the network has not learned from.
    share : float
        In (0, 1].
    """
    distances = [reference.distance(row[None]) for row in embeddings]
    limit = float(np.quantile(distances, share))
    return FamiliarityLimit(
        distance=max(limit, _SMALLEST_DISTANCE), share=share, patients=len(distances)
    )
