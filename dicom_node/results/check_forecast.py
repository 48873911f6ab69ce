"""Whether the forecast's SEG holds the forecast, and cannot be taken for what was measured."""

from collections.abc import Iterator
from typing import Final

from pydicom.dataset import Dataset

from dicom_node.results import codes
from dicom_node.results.check_segmentation import segmentation_faults
from dicom_node.results.source_frames import SourceFrames
from pipeline.volume import HematomaMask

#: Each must say by itself that nobody measured it: viewers show now one, now the other.
_TEXTS: Final = (
    ("SeriesDescription", "FORECAST"),
    ("ContentLabel", "FORECAST"),
    ("ContentDescription", "if it expands"),
)


def forecast_faults(
    made: Dataset, frames: SourceFrames, follow_up: HematomaMask, *, measured: Dataset
) -> Iterator[str]:
    """Yield every difference to the forecast mask, and every likeness to the measured SEG."""
    yield from segmentation_faults(made, frames, follow_up)
    for keyword, mark in _TEXTS:
        if mark not in str(made.get(keyword, "")):
            yield f"{keyword} lacks {mark}"
    try:
        (segment,), (other,) = made.SegmentSequence, measured.SegmentSequence
        if segment.TrackingUID == other.TrackingUID or segment.TrackingID == other.TrackingID:
            yield "the forecast is tracked as the measured hematoma"
        kind = segment.SegmentedPropertyTypeCodeSequence[0]
        if (kind.CodeValue, kind.CodingSchemeDesignator) != (
            codes.FORECAST_HEMATOMA.value,
            codes.FORECAST_HEMATOMA.scheme_designator,
        ):
            yield "the segment's type is not that of a prediction"
        if "Predicted" not in segment.SegmentLabel:
            yield "SegmentLabel lacks Predicted"
        if segment.RecommendedDisplayCIELabValue == other.RecommendedDisplayCIELabValue:
            yield "the forecast has the colour of the measured hematoma"
        if not segment.SegmentationAlgorithmIdentificationSequence[0].AlgorithmName:
            yield "the growth model is not named"
    except (AttributeError, IndexError, ValueError) as error:
        yield f"the segment cannot be read back: {error}"
