"""The straight line: one CT volume in, one opinion out."""

from dataclasses import dataclass

from pipeline.measurement import HematomaMeasurements
from pipeline.prediction import HePrediction
from pipeline.quality_flags import QualityFlag
from pipeline.saliency import SaliencyMaps
from pipeline.triplet import SliceTriplet
from pipeline.volume import HematomaMask


@dataclass(frozen=True, slots=True, kw_only=True)
class HematomaFound:
    """A hematoma, measured and judged."""

    mask: HematomaMask
    measurements: HematomaMeasurements
    triplet: SliceTriplet
    prediction: HePrediction
    saliency: SaliencyMaps
    flags: frozenset[QualityFlag]


@dataclass(frozen=True, slots=True, kw_only=True)
class NoHematomaFound:
    """No hematoma above the size floor: a finding, not an error."""

    flags: frozenset[QualityFlag]


IchAnalysis = HematomaFound | NoHematomaFound
