"""How far a patient lies from those that a classifier has learned from.

References
----------
.. [1] K. Lee et al., "A Simple Unified Framework for Detecting Out-of-Distribution Samples and
   Adversarial Attacks", NeurIPS 2018.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from pipeline.errors import ModelBundleError

#: Names of the reference among the weights of a bundle.
MEAN_NAME, WHITENING_NAME = "familiarity.mean", "familiarity.whitening"

#: A whitening is a square matrix.
_TWO_AXES = 2


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FamiliarityReference:
    """Mean and spread of the embeddings of training patients; no patient can be read from it.

    Attributes
    ----------
    mean : Tensor of float32, shape (D,)
        Of the patients' embeddings.
    whitening : Tensor of float32, shape (D, D)
        Brings embeddings less the mean to unit covariance, from the right.

    Raises
    ------
    ModelBundleError
        If the shapes do not belong together.
    """

    mean: torch.Tensor
    whitening: torch.Tensor

    def __post_init__(self) -> None:
        size = len(self.mean) if self.mean.ndim == 1 else -1
        if self.whitening.ndim != _TWO_AXES or tuple(self.whitening.shape) != (size, size):
            raise ModelBundleError(
                f"Reference of shapes {tuple(self.mean.shape)} and {tuple(self.whitening.shape)}"
            )

    def distance(self, slice_embeddings: torch.Tensor) -> float:
        """Return the Mahalanobis distance [1]_ of a patient.

        Parameters
        ----------
        slice_embeddings : Tensor of float32, shape (slices, D)
            Of the patient's slices; their mean is the patient's.
        """
        off = slice_embeddings.mean(dim=0).cpu().double() - self.mean.double()
        return float((off @ self.whitening.double()).norm())

    def tensors(self) -> dict[str, torch.Tensor]:
        """Return what is stored with the weights."""
        return {MEAN_NAME: self.mean, WHITENING_NAME: self.whitening}


def stored_reference(weights: Mapping[str, torch.Tensor]) -> FamiliarityReference | None:
    """Return the reference among the weights of a bundle, None if it has none.

    Raises
    ------
    ModelBundleError
        If half of it is there, or it does not fit together.
    """
    found = [name for name in (MEAN_NAME, WHITENING_NAME) if name in weights]
    if not found:
        return None
    if len(found) == 1:
        raise ModelBundleError(f"Weights hold {found[0]} alone")
    return FamiliarityReference(mean=weights[MEAN_NAME], whitening=weights[WHITENING_NAME])
