"""Codes that a workitem is told (PS3.16): what was done, and why it was not."""

from enum import Enum
from typing import Final

#: What the node does where a workitem has no code of its own (CID 9231, General Purpose Workitem
#: Definition).
ANALYSIS_WORKITEM: Final = {
    "value": "110004",
    "scheme": "DCM",
    "meaning": "Computer Aided Detection",
}


class Discontinuation(Enum):
    """Reasons for a workitem that ends without results (CID 9300, Procedure Discontinuation)."""

    EQUIPMENT_FAILURE = "110501", "Equipment failure"
    UNSPECIFIED = "110513", "Discontinued for unspecified reason"
    NOT_SUPPORTED = "110522", "Object Types not supported"
    INCOMPLETE = "110523", "Object Set incomplete"

    @property
    def as_dict(self) -> dict[str, str]:
        """Return the code by the names ``value``, ``scheme`` and ``meaning``."""
        value, meaning = self.value
        return {"value": value, "scheme": "DCM", "meaning": meaning}
