"""What was chosen on validation patients: thresholds, and how far a patient may be from them."""

import math
from dataclasses import dataclass

from pipeline.errors import ModelBundleError


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatingPoint:
    """A threshold of the probability of expansion that was chosen for a purpose.

    Attributes
    ----------
    name : str
        The purpose, e.g. ``sensitivity-90``.
    threshold : float
        Probability from which the patient is called HE.
    sensitivity, specificity : float
        At the threshold, on the patients that it was chosen on.

    Raises
    ------
    ModelBundleError
        If the name is empty or a value lies outside [0, 1].
    """

    name: str
    threshold: float
    sensitivity: float
    specificity: float

    def __post_init__(self) -> None:
        if not self.name:
            raise ModelBundleError("An operating point has no name")
        for value in (self.threshold, self.sensitivity, self.specificity):
            if not 0 <= value <= 1:
                raise ModelBundleError(f"Operating point {self.name}: {value} is no share")


@dataclass(frozen=True, slots=True, kw_only=True)
class FamiliarityLimit:
    """How far a patient may lie from those that the classifier has learned from.

    Attributes
    ----------
    distance : float
        Mahalanobis distance of the embedding; beyond it a patient is called unfamiliar.
    share : float
        Part of the validation patients that lies within it.
    patients : int
        How many validation patients there were.

    Raises
    ------
    ModelBundleError
        If the distance is not positive and finite, the share is none, or nobody was measured.
    """

    distance: float
    share: float
    patients: int

    def __post_init__(self) -> None:
        if not (math.isfinite(self.distance) and self.distance > 0):
            raise ModelBundleError(f"Distance must be positive, got {self.distance}")
        if not (0 < self.share <= 1 and self.patients > 0):
            raise ModelBundleError(f"Share {self.share} of {self.patients} patients is impossible")
