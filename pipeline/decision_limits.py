"""Volumes of the hematoma at which a clinical scale or trial changes its answer.

A range of the volume that spans one of them leaves that answer open.
"""

from dataclasses import dataclass

from pipeline.finding import VolumeRange


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionLimit:
    """A volume from which a scale counts a hematoma as larger.

    Attributes
    ----------
    volume_ml : float
        The limit; a hematoma of exactly this volume counts as larger.
    source : str
        What asks for it.
    """

    volume_ml: float
    source: str


#: Rising. 30 mL is one point of the ICH Score [1]_ and the least volume of the trials of minimally
#: invasive surgery [2]_; 60 mL divides the largest class of the classical estimate of mortality
#: [3]_ from the rest. The change of volume that defines expansion is no limit of this kind: it
#: compares two scans.
#:
#: .. [1] J. C. Hemphill et al., "The ICH Score: a simple, reliable grading scale for intracerebral
#:    hemorrhage", Stroke 32 (2001) 891-897: volume >= 30 cm3.
#: .. [2] D. F. Hanley et al., "Efficacy and safety of minimally invasive surgery with thrombolysis
#:    in intracerebral haemorrhage evacuation (MISTIE III)", Lancet 393 (2019) 1021-1032.
#: .. [3] J. P. Broderick et al., "Volume of intracerebral hemorrhage: a powerful and easy-to-use
#:    predictor of 30-day mortality", Stroke 24 (1993) 987-993: volume >= 60 cm3.
DECISION_LIMITS = (
    DecisionLimit(volume_ml=30.0, source="ICH Score"),
    DecisionLimit(volume_ml=60.0, source="30-day mortality by volume"),
)


def limits_within(volume_range: VolumeRange) -> tuple[DecisionLimit, ...]:
    """Return the limits that a range leaves open: its ends fall on both sides of them."""
    return tuple(
        limit
        for limit in DECISION_LIMITS
        if volume_range.low_ml < limit.volume_ml <= volume_range.high_ml
    )
