"""The opinion on hematoma expansion, with the rule that turns it into a label."""

from dataclasses import dataclass
from enum import IntEnum
from statistics import pstdev

from pipeline.operating_point import FamiliarityLimit, OperatingPoint


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
    member_probabilities : tuple of float
        Patient-level probability of each network of an ensemble; empty for one network.
    unfamiliarity : float or None
        How far the patient lies from those that the classifier has learned from, as part of the
        limit on the card: above 1 the opinion is a guess. None if the card has no limit.
    familiarity_limit : FamiliarityLimit or None
        That limit.
    operating_points : tuple of OperatingPoint
        Further thresholds of the card with their purpose.

    Raises
    ------
    ValueError
        If a probability lies outside [0, 1], there is no slice, or the unfamiliarity is
        negative.
    """

    slice_probabilities: tuple[float, ...]
    threshold: float
    member_probabilities: tuple[float, ...] = ()
    unfamiliarity: float | None = None
    familiarity_limit: FamiliarityLimit | None = None
    operating_points: tuple[OperatingPoint, ...] = ()

    def __post_init__(self) -> None:
        if not self.slice_probabilities:
            raise ValueError("A prediction needs at least one slice")
        for value in (*self.slice_probabilities, *self.member_probabilities, self.threshold):
            if not 0 <= value <= 1:
                raise ValueError(f"{value} is no probability")
        if self.unfamiliarity is not None and not self.unfamiliarity >= 0:
            raise ValueError(f"Unfamiliarity must not be negative, got {self.unfamiliarity}")

    @property
    def probability(self) -> float:
        """Patient-level probability: the mean over the slices."""
        return sum(self.slice_probabilities) / len(self.slice_probabilities)

    @property
    def label(self) -> HeLabel:
        """HE from `threshold` upwards."""
        return HeLabel.HE if self.probability >= self.threshold else HeLabel.NHE

    @property
    def spread(self) -> float | None:
        """Standard deviation of an ensemble's opinions; None for one network."""
        if not self.member_probabilities:
            return None
        return pstdev(self.member_probabilities)

    @property
    def is_unfamiliar(self) -> bool:
        """Whether the patient is unlike those that the classifier has learned from."""
        return self.unfamiliarity is not None and self.unfamiliarity > 1

    @property
    def training_distance(self) -> float | None:
        """Mahalanobis distance from the training cases; None if the card has no limit."""
        if self.unfamiliarity is None or self.familiarity_limit is None:
            return None
        return self.unfamiliarity * self.familiarity_limit.distance

    def label_at(self, point: OperatingPoint) -> HeLabel:
        """Return HE from the threshold of an operating point upwards."""
        return HeLabel.HE if self.probability >= point.threshold else HeLabel.NHE
