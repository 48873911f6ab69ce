"""Why a series cannot be analysed."""

from dataclasses import dataclass
from enum import StrEnum


class RejectionCode(StrEnum):
    """What is wrong with the series. The values are stored; never rename one."""

    NO_IMAGES = "no_images"  #: the series holds no CT image that could be read
    NOT_CT = "not_ct"  #: Modality or SOP Class is not CT
    MIXED_SERIES = "mixed_series"  #: instances of several series, studies or patients
    NOT_ORIGINAL = "not_original"  #: only localizers, dose captures or secondary captures
    NOT_AXIAL = "not_axial"  #: slices are sagittal, coronal or steeply oblique
    MIXED_ORIENTATION = "mixed_orientation"  #: slices are not parallel
    TOO_FEW_SLICES = "too_few_slices"  #: fewer positions than a head needs
    COVERAGE = "coverage"  #: extent along the slice normal is too small for a head
    GAP = "gap"  #: slices are missing over a longer distance than can be bridged
    PIXELS = "pixels"  #: pixel data cannot be decoded or are not monochrome
    GEOMETRY_MISSING = "geometry_missing"  #: position, orientation or spacing is absent or absurd
    HU_MISSING = "hu_missing"  #: values cannot be brought to Hounsfield units
    NOT_A_HEAD = "not_a_head"  #: body part or content is not a head


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectionReason:
    """A refusal that names the thing, the value found and the value needed.

    Attributes
    ----------
    code : RejectionCode
        The kind of fault, for statistics and rules.
    found : str
        What the series holds, without any patient attribute.
    needed : str
        What would have been accepted.
    """

    code: RejectionCode
    found: str
    needed: str

    @property
    def message(self) -> str:
        """One sentence for logs, ledger, status page and report."""
        return f"{self.code}: found {self.found}; needed {self.needed}"
