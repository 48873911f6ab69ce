"""The header of one image, whether an instance of its own or a frame of a multi-frame one.

Nothing here raises on a malformed value: it counts as absent, and whoever needs the value
refuses the series with a reason.
"""

import math
import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence

#: Functional group that holds an attribute of an enhanced multi-frame image
#: (PS3.3, sections C.7.6.16.2 and C.8.15.3).
GROUP_OF: dict[str, str] = {
    "AnatomicRegionSequence": "FrameAnatomySequence",
    "ContrastBolusAgentNumber": "ContrastBolusUsageSequence",
    "ConvolutionKernel": "CTReconstructionSequence",
    "FrameAcquisitionNumber": "FrameContentSequence",
    "FrameType": "CTImageFrameTypeSequence",
    "GantryDetectorTilt": "CTAcquisitionDetailsSequence",
    "ImageOrientationPatient": "PlaneOrientationSequence",
    "ImagePositionPatient": "PlanePositionSequence",
    "PixelSpacing": "PixelMeasuresSequence",
    "RescaleIntercept": "PixelValueTransformationSequence",
    "RescaleSlope": "PixelValueTransformationSequence",
    "RescaleType": "PixelValueTransformationSequence",
    "SliceThickness": "PixelMeasuresSequence",
}

#: What pydicom raises when it interprets a damaged value, which it does on first access.
MALFORMED = (
    *(ValueError, TypeError, AttributeError, LookupError, ArithmeticError),
    *(RuntimeError, OSError, EOFError, struct.error, BytesLengthException),
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ImageHeader:
    """Attributes of one image.

    Attributes
    ----------
    instance : Dataset
        The instance that holds the image.
    frame_number : int or None
        Frame counted from 1, None in a single-frame instance.
    groups : tuple of Dataset
        Per-frame and shared functional groups of the frame, in the order of precedence.
    """

    instance: Dataset = field(repr=False)  # a data set must never reach a log
    frame_number: int | None = None
    groups: tuple[Dataset, ...] = field(default=(), repr=False)

    def value(self, keyword: str) -> Any:  # noqa: ANN401 - the door to pydicom's values
        """Return an attribute's value, or None if it is absent or malformed."""
        try:
            for group in self.groups:
                items = group.get(GROUP_OF.get(keyword, ""))
                if items and keyword in items[0]:
                    return items[0].get(keyword)
            return self.instance.get(keyword)
        except MALFORMED:
            return None

    def items(self, keyword: str) -> tuple[Dataset, ...]:
        """Return the items of a sequence, none if it is absent."""
        value = self.value(keyword)
        return tuple(value) if isinstance(value, Sequence) else ()

    def text(self, keyword: str) -> str:
        """Return an attribute as text, empty if it is absent."""
        return "\\".join(self.texts(keyword))

    def texts(self, keyword: str) -> tuple[str, ...]:
        """Return the values of an attribute in capitals, without padding."""
        value = self.value(keyword)
        if value is None:
            return ()
        values: Iterable[Any] = value if isinstance(value, MultiValue | list) else (value,)
        return tuple(str(item).strip().strip("\0").upper() for item in values)

    def numbers(self, keyword: str, count: int) -> tuple[float, ...] | None:
        """Return `count` finite numbers, or None if they are not there."""
        value = self.value(keyword)
        values = value if isinstance(value, MultiValue | list) else (value,)
        try:
            numbers = tuple(float(item) for item in values)
        except MALFORMED:
            return None
        is_good = len(numbers) == count and all(math.isfinite(number) for number in numbers)
        return numbers if is_good else None

    def number(self, keyword: str) -> float | None:
        """Return one finite number, or None if it is not there."""
        numbers = self.numbers(keyword, 1)
        return numbers[0] if numbers else None

    def count(self, keyword: str) -> int:
        """Return a whole number, 0 if it is not there."""
        return int(self.number(keyword) or 0)
