"""The ways of training that are compared: Table 1 of the paper, and what we add to it."""

from dataclasses import dataclass
from enum import StrEnum

from pipeline.growth.network import Motion


class Arm(StrEnum):
    """A way of training. The values are stored; never rename one."""

    ORIGINAL = "original"  #: scanned pairs as they are
    AUGMENTATION = "augmentation"  #: scanned pairs, turned and mirrored
    SYNTHESIS = "synthesis"  #: scanned pairs and made baselines
    DIFFEOMORPHIC = "diffeomorphic"  #: as synthesis, with an integrated velocity field
    AS_RELEASED = "as-released"  #: as original, with the released code's two departures


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmPlan:
    """What an arm is made of.

    Attributes
    ----------
    words : str
        Its row in the table.
    augmented : bool
        Whether patches are turned and mirrored.
    synthetic : bool
        Whether made baselines are learnt from.
    motion : Motion
        What the network predicts.
    smoothness_is_detached : bool
        Whether the field's smoothness has no gradient.
    """

    words: str
    augmented: bool = False
    synthetic: bool = False
    motion: Motion = Motion.DENSE
    smoothness_is_detached: bool = False


PLANS: dict[Arm, ArmPlan] = {
    Arm.ORIGINAL: ArmPlan(words="Original images"),
    Arm.AUGMENTATION: ArmPlan(words="Original images + DA", augmented=True),
    Arm.SYNTHESIS: ArmPlan(words="Original images + synthesis", synthetic=True),
    Arm.DIFFEOMORPHIC: ArmPlan(
        words="Original images + synthesis, diffeomorphic",
        synthetic=True,
        motion=Motion.DIFFEOMORPHIC,
    ),
    Arm.AS_RELEASED: ArmPlan(
        words="Original images, as released",
        motion=Motion.AS_RELEASED,
        smoothness_is_detached=True,
    ),
}

#: The three arms of the paper's Table 1.
PAPER_ARMS = (Arm.ORIGINAL, Arm.AUGMENTATION, Arm.SYNTHESIS)
