"""The straight line: one CT volume in, one opinion out."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from pipeline.measurement import HematomaMeasurements, measure
from pipeline.prediction import HePrediction
from pipeline.quality import assess_mask, assess_volume
from pipeline.quality_flags import QualityFlag
from pipeline.saliency import SaliencyMaps
from pipeline.triplet import SliceTriplet, crop_triplet
from pipeline.volume import CtVolume, HematomaMask


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


class Step(StrEnum):
    """What the analysis is about to do, in order. The values are stored; never rename one."""

    ASSESS = "assess"  #: look at the quality of the volume
    SEGMENT = "segment"  #: find the hematoma
    MEASURE = "measure"  #: volumes, diameters, densities
    CLASSIFY = "classify"  #: crop the triplet and judge it
    EXPLAIN = "explain"  #: Grad-CAM of the judgement


class Opinion(Protocol):
    """Whatever sees, judges and explains: the loaded models, or a fake in a test."""

    def segment(self, volume: CtVolume) -> HematomaMask:
        """Return the hematoma on the grid of `volume`; an empty mask if there is none."""

    def classify(self, triplet: SliceTriplet) -> HePrediction:
        """Return the probability of expansion."""

    def explain(self, triplet: SliceTriplet, prediction: HePrediction) -> SaliencyMaps:
        """Return what spoke for expansion, slice by slice."""


def analyze(
    volume: CtVolume,
    models: Opinion,
    *,
    on_step: Callable[[Step], None] = lambda step: None,  # noqa: ARG005 - listens to nothing
) -> IchAnalysis:
    """Return what the models see in one non-contrast head CT series.

    Parameters
    ----------
    volume : CtVolume
        The series in Hounsfield units.
    models : Opinion
        Segmentation and classification.
    on_step : callable
        Told of each step before it begins.

    Returns
    -------
    IchAnalysis
        `HematomaFound`, or `NoHematomaFound`. Both carry the quality flags.
    """
    on_step(Step.ASSESS)
    flags = assess_volume(volume)
    on_step(Step.SEGMENT)
    mask = models.segment(volume)
    if mask.is_empty:
        return NoHematomaFound(flags=flags)
    on_step(Step.MEASURE)
    measurements = measure(volume, mask)
    on_step(Step.CLASSIFY)
    triplet = crop_triplet(volume, mask)
    prediction = models.classify(triplet)
    on_step(Step.EXPLAIN)
    saliency = models.explain(triplet, prediction)
    return HematomaFound(
        mask=mask,
        measurements=measurements,
        triplet=triplet,
        prediction=prediction,
        saliency=saliency,
        flags=flags | assess_mask(mask),
    )
