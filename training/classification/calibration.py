"""Probabilities that mean what they say: temperature or Platt scaling, folded into the head."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from pipeline.prediction import HeLabel

if TYPE_CHECKING:
    from timm.models.vision_transformer import VisionTransformer

#: A scale below this would turn a useless classifier into one that ranks the other way round.
SMALLEST_SCALE = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class PlattScaling:
    """Log odds as a linear function of the network's margin.

    Attributes
    ----------
    scale, offset : float
        Log odds of HE are ``scale * margin + offset``.
    """

    scale: float
    offset: float

    def probabilities(self, margins: torch.Tensor) -> torch.Tensor:
        """Return the probability of HE for each margin, same shape."""
        return torch.sigmoid(margins * self.scale + self.offset)


def fit_platt(
    margins: NDArray[np.float64], expanded: NDArray[np.bool_], *, prevalence: float
) -> PlattScaling:
    """Return the scaling that is most likely for validation slices.

    Drawing HE slices more often than they occur shifts the log odds; this undoes it. Slices
    count so that the outcomes weigh as they do among patients. Targets are softened as Platt
    recommends [1]_.

    Parameters
    ----------
    margins : ndarray of float64, shape (N,)
        HE logit minus NHE logit.
    expanded : ndarray of bool, shape (N,)
        Outcome.
    prevalence : float
        Share of HE among the patients whom the classifier is for, in (0, 1).

    References
    ----------
    .. [1] J. Platt, "Probabilistic outputs for support vector machines and comparisons to
       regularized likelihood methods" (1999), section 2.2.
    """
    from scipy.optimize import minimize  # type: ignore[import-untyped] # scipy ships no types

    positives = int(expanded.sum())
    target = np.where(
        expanded, (positives + 1) / (positives + 2), 1 / (len(expanded) - positives + 2)
    )

    weight = np.where(
        expanded, prevalence / expanded.mean(), (1 - prevalence) / (~expanded).mean()
    )

    def negative_log_likelihood(parameters: NDArray[np.float64]) -> float:
        odds = parameters[0] * margins + parameters[1]
        return float((weight * (np.logaddexp(0, odds) - target * odds)).mean())

    fitted = minimize(
        negative_log_likelihood,
        x0=np.array([1.0, 0.0]),
        bounds=[(SMALLEST_SCALE, None), (None, None)],
        method="L-BFGS-B",
    )
    return PlattScaling(scale=float(fitted.x[0]), offset=float(fitted.x[1]))


def fit_temperature(margins: NDArray[np.float64], expanded: NDArray[np.bool_]) -> PlattScaling:
    """Return the temperature [1]_ of greatest likelihood, as a scaling without offset.

    The order of patients and the threshold at one half stay as they are.

    Parameters
    ----------
    margins : ndarray of float64, shape (N,)
        HE logit minus NHE logit of validation slices.
    expanded : ndarray of bool, shape (N,)
        Outcome.

    References
    ----------
    .. [1] C. Guo et al., "On Calibration of Modern Neural Networks", ICML 2017.
    """
    from scipy.optimize import minimize_scalar

    def negative_log_likelihood(log_scale: float) -> float:
        odds = np.exp(log_scale) * margins
        return float((np.logaddexp(0, odds) - expanded * odds).mean())

    limits = (np.log(SMALLEST_SCALE), -np.log(SMALLEST_SCALE))
    fitted = minimize_scalar(negative_log_likelihood, bounds=limits, method="bounded")
    return PlattScaling(scale=float(np.exp(fitted.x)), offset=0.0)


@torch.no_grad()
def fold_into_head(network: "VisionTransformer", scaling: PlattScaling) -> None:
    """Change the head so that the softmax gives the calibrated probability.

    Raises
    ------
    TypeError
        If the head is not one linear layer.
    """
    head = network.head
    if not isinstance(head, nn.Linear):
        raise TypeError(f"Only a linear head can be calibrated, got {type(head).__name__}")
    head.weight.mul_(scaling.scale)
    head.bias.mul_(scaling.scale)
    head.bias[int(HeLabel.HE)] += scaling.offset
