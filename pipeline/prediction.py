"""The opinion on hematoma expansion, with the rule that turns it into a label."""

from dataclasses import dataclass
from enum import IntEnum


class HeLabel(IntEnum):
    """Column of the classifier's output. Fixed by the order of the classes in training."""

    HE = 0  #: hematoma will expand
    NHE = 1  #: hematoma will not expand


@dataclass(frozen=True, slots=True, kw_only=True)
class HePrediction:
    """Probability of hematoma expansion.

    Attributes
    ----------
    slice_probabilities : tuple of float
        One per slice of the triplet that exists, inferior to superior, each in [0, 1].
    threshold : float
        Probability from which the patient is called HE, from the model card.

    Raises
    ------
    ValueError
        If a value lies outside [0, 1] or there is no slice.
    """

    slice_probabilities: tuple[float, ...]
    threshold: float

    def __post_init__(self) -> None:
        if not self.slice_probabilities:
            raise ValueError("A prediction needs at least one slice")
        for value in (*self.slice_probabilities, self.threshold):
            if not 0 <= value <= 1:
                raise ValueError(f"{value} is no probability")

    @property
    def probability(self) -> float:
        """Patient-level probability: the mean over the slices."""
        return sum(self.slice_probabilities) / len(self.slice_probabilities)

    @property
    def label(self) -> HeLabel:
        """HE from `threshold` upwards."""
        return HeLabel.HE if self.probability >= self.threshold else HeLabel.NHE
