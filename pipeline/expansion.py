"""Whether a hematoma expanded from one scan to the next, by which criterion, and how sure that is.

Expansion is growth of more than 6 mL or more than 33 % [1]_, the rule of the npj study that the
pipeline follows. The revised definition adds blood in the ventricles: any that is new, or 1 mL
more than before [2]_.

References
----------
.. [1] D. Dowlatshahi et al., "Defining hematoma expansion in intracerebral hemorrhage:
   relationship with patient outcomes", Neurology 76 (2011) 1238-1244.
.. [2] V. Yogendrakumar et al., "Redefining hematoma expansion with the inclusion of
   intraventricular hemorrhage growth", Stroke 51 (2020) 1120-1127.
.. [3] G. Y. Zou, A. Donner, "Construction of confidence limits about effect measures: a general
   approach", Statistics in Medicine 27 (2008) 1693-1702.
"""

import math
from dataclasses import dataclass
from enum import StrEnum

from pipeline.finding import VolumeRange

#: Growth beyond either is expansion [1]_.
EXPANSION_ML, EXPANSION_RATIO = 6.0, 0.33

#: From this growth on, blood in the ventricles counts in the revised definition [2]_.
INTRAVENTRICULAR_ML = 1.0


class Criterion(StrEnum):
    """What made a growth count as expansion. The values are stored; never rename."""

    ABSOLUTE = "absolute_growth"  #: more than 6 mL
    RELATIVE = "relative_growth"  #: more than 33 %
    NEW_INTRAVENTRICULAR = "new_intraventricular"  #: blood in the ventricles that was not there
    INTRAVENTRICULAR_GROWTH = "intraventricular_growth"  #: at least 1 mL more there


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredVolumes:
    """What one scan says about the volumes of a patient's hemorrhage.

    Attributes
    ----------
    hematoma_ml : float
        Volume of the hematoma in the brain; 0 where there is none.
    hematoma_range : VolumeRange or None
        Where its true volume lies, if the model knows.
    intraventricular_ml : float or None
        Blood in the ventricles; None if the model does not tell it apart.

    Raises
    ------
    ValueError
        If a volume is negative or no number.
    """

    hematoma_ml: float
    hematoma_range: VolumeRange | None = None
    intraventricular_ml: float | None = None

    def __post_init__(self) -> None:
        for name in ("hematoma_ml", "intraventricular_ml"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < math.inf:
                raise ValueError(f"{name} must be a volume of 0 mL or more, got {value}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeRange:
    """Range that holds the true change of volume with a stated probability.

    Attributes
    ----------
    low_ml, high_ml : float
        Ends of the range; negative where the hematoma may have shrunk.
    level : float
        Probability, e.g. 0.95.
    """

    low_ml: float
    high_ml: float
    level: float


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeChange:
    """The change between two scans, judged.

    Attributes
    ----------
    absolute_ml : float
        Follow-up minus baseline.
    relative : float or None
        The same as a share of the baseline; None where the baseline shows no hematoma.
    change_range : ChangeRange or None
        Where the true change lies; None unless both scans have a range of the same level.
    criteria : frozenset of Criterion
        Every criterion that is met; none means no expansion.
    is_certain : bool or None
        Whether growth in the brain alone gives the same answer at both ends of the range; None
        without a range.
    """

    absolute_ml: float
    relative: float | None
    change_range: ChangeRange | None
    criteria: frozenset[Criterion]
    is_certain: bool | None

    @property
    def is_expansion(self) -> bool:
        """Whether any criterion is met."""
        return bool(self.criteria)


def meets_expansion_rule(baseline_ml: float, follow_up_ml: float) -> bool:
    """Return whether growth counts as hematoma expansion: > 6 mL or > 33 % [1]_."""
    return _grows_enough(follow_up_ml - baseline_ml, baseline_ml)


def judge_change(
    baseline: MeasuredVolumes, follow_up: MeasuredVolumes, *, with_ventricles: bool = False
) -> VolumeChange:
    """Return how the hemorrhage changed, and whether that is expansion.

    Parameters
    ----------
    baseline, follow_up : MeasuredVolumes
        Both scans, measured by the same model: systematic errors then cancel in the difference.
    with_ventricles : bool
        Judge by the revised definition [2]_. Where either scan lacks a volume of the ventricles
        it says nothing about them.
    """
    growth = follow_up.hematoma_ml - baseline.hematoma_ml
    criteria = set()
    if growth > EXPANSION_ML:
        criteria.add(Criterion.ABSOLUTE)
    if baseline.hematoma_ml > 0 and growth > EXPANSION_RATIO * baseline.hematoma_ml:
        criteria.add(Criterion.RELATIVE)
    if with_ventricles:
        criteria |= _ventricular_criteria(baseline, follow_up)
    reach = _range_of_change(baseline, follow_up)
    return VolumeChange(
        absolute_ml=growth,
        relative=growth / baseline.hematoma_ml if baseline.hematoma_ml > 0 else None,
        change_range=reach,
        criteria=frozenset(criteria),
        is_certain=None
        if reach is None
        else _grows_enough(reach.low_ml, baseline.hematoma_ml)
        == _grows_enough(reach.high_ml, baseline.hematoma_ml),
    )


def _grows_enough(growth_ml: float, baseline_ml: float) -> bool:
    return growth_ml > EXPANSION_ML or (
        baseline_ml > 0 and growth_ml > EXPANSION_RATIO * baseline_ml
    )


def _ventricular_criteria(baseline: MeasuredVolumes, follow_up: MeasuredVolumes) -> set[Criterion]:
    before, after = baseline.intraventricular_ml, follow_up.intraventricular_ml
    if before is None or after is None:
        return set()
    if before == 0 and after > 0:
        return {Criterion.NEW_INTRAVENTRICULAR}
    return {Criterion.INTRAVENTRICULAR_GROWTH} if after - before >= INTRAVENTRICULAR_ML else set()


def _range_of_change(baseline: MeasuredVolumes, follow_up: MeasuredVolumes) -> ChangeRange | None:
    """Return the range of the difference of two volumes with ranges of their own.

    Method of variance estimates recovery [3]_: each end takes the two distances that push the
    difference that way, added as squares. That is right for independent errors and generous
    for those of one model on one patient, which go the same way.
    """
    first, second = baseline.hematoma_range, follow_up.hematoma_range
    if first is None or second is None or first.level != second.level:
        return None
    growth = follow_up.hematoma_ml - baseline.hematoma_ml
    down = math.hypot(follow_up.hematoma_ml - second.low_ml, first.high_ml - baseline.hematoma_ml)
    up = math.hypot(second.high_ml - follow_up.hematoma_ml, baseline.hematoma_ml - first.low_ml)
    return ChangeRange(low_ml=growth - down, high_ml=growth + up, level=first.level)
