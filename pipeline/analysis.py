"""The straight line: one CT volume in, one opinion out."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import EmptyHematomaError
from pipeline.finding import Compartment, Segmentation, VolumeRange
from pipeline.finding_flags import assess_finding, assess_forecast, assess_prediction
from pipeline.growth.forecast import GrowthForecast
from pipeline.measurement import HematomaMeasurements, measure, volume_ml
from pipeline.prediction import HePrediction
from pipeline.quality import assess_mask, assess_volume
from pipeline.quality_flags import QualityFlag
from pipeline.saliency import SaliencyMaps
from pipeline.segmentation.predictor import OnProgress, ignore_progress
from pipeline.triplet import SliceTriplet
from pipeline.volume import CtVolume, HematomaMask


@dataclass(frozen=True, slots=True, kw_only=True)
class HematomaFound:
    """A hematoma, measured and judged.

    Attributes
    ----------
    mask, measurements, triplet, prediction, saliency
        What was found, how large it is, what the classifier saw, said and looked at.
    flags : frozenset of QualityFlag
        What a reader must know about input and finding.
    volume_range : VolumeRange or None
        Where the true volume lies; None if the model has no fitted error.
    compartments_ml : mapping of Compartment to float
        Volumes of what else the network tells apart.
    uncertainty_zyx : ndarray of float32, shape (Z, Y, X), or None
        Entropy of the voxels' classes in nats, on the source grid.
    forecast : GrowthForecast or None
        The hematoma at follow-up, if it expands; None without a growth model, or where that
        could make none, which the flag NO_FORECAST says.
    """

    mask: HematomaMask
    measurements: HematomaMeasurements
    triplet: SliceTriplet
    prediction: HePrediction
    saliency: SaliencyMaps
    flags: frozenset[QualityFlag]
    volume_range: VolumeRange | None = None
    compartments_ml: Mapping[Compartment, float] = field(
        default_factory=lambda: MappingProxyType({})
    )
    uncertainty_zyx: NDArray[np.float32] | None = None
    forecast: GrowthForecast | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NoHematomaFound:
    """No hematoma above the size floor: a finding, not an error.

    Attributes
    ----------
    flags : frozenset of QualityFlag
        What a reader must know about input and finding.
    compartments_ml : mapping of Compartment to float
        Volumes of what else the network tells apart.
    """

    flags: frozenset[QualityFlag]
    compartments_ml: Mapping[Compartment, float] = field(
        default_factory=lambda: MappingProxyType({})
    )


IchAnalysis = HematomaFound | NoHematomaFound


class Step(StrEnum):
    """What the analysis is about to do, in order. The values are stored; never rename one."""

    ASSESS = "assess"  #: look at the quality of the volume
    SEGMENT = "segment"  #: find the hematoma
    MEASURE = "measure"  #: volumes, diameters, densities
    CLASSIFY = "classify"  #: crop the triplet and judge it
    EXPLAIN = "explain"  #: Grad-CAM of the judgement
    FORECAST = "forecast"  #: the hematoma at follow-up, if there is a growth model


class Opinion(Protocol):
    """Whatever sees, judges and explains: the loaded models, or a fake in a test."""

    def segment(
        self, volume: CtVolume, *, on_progress: OnProgress = ignore_progress
    ) -> Segmentation:
        """Return the findings on the grid of `volume`; an empty mask if there is none.

        Tells after each tile which share of the work is done.
        """

    def crop(self, volume: CtVolume, mask: HematomaMask) -> SliceTriplet:
        """Return the slices that the classifier wants to see."""

    def classify(self, triplet: SliceTriplet) -> HePrediction:
        """Return the probability of expansion."""

    def explain(self, triplet: SliceTriplet, prediction: HePrediction) -> SaliencyMaps:
        """Return what spoke for expansion, slice by slice."""


class Forecaster(Protocol):
    """Whatever forecasts the hematoma of the follow-up scan."""

    def forecast(
        self,
        volume: CtVolume,
        hematoma: HematomaMask,
        *,
        on_progress: OnProgress = ignore_progress,
    ) -> GrowthForecast:
        """Return how the hematoma may look at follow-up if it expands.

        Raises EmptyHematomaError if it is too small to be seen by the network.
        """


def analyze(
    volume: CtVolume,
    models: Opinion,
    *,
    forecaster: Forecaster | None = None,
    on_step: Callable[[Step], None] = lambda step: None,  # noqa: ARG005 - listens to nothing
    on_progress: OnProgress = ignore_progress,
) -> IchAnalysis:
    """Return what the models see in one non-contrast head CT series.

    Parameters
    ----------
    volume : CtVolume
        The series in Hounsfield units.
    models : Opinion
        Segmentation and classification.
    forecaster : Forecaster, optional
        The growth model; without one there is no forecast.
    on_step : callable
        Told of each step before it begins.
    on_progress : callable
        Told within segmentation and forecast, the long steps, which share of them is done.

    Returns
    -------
    IchAnalysis
        `HematomaFound`, or `NoHematomaFound`. Both carry the quality flags.
    """
    on_step(Step.ASSESS)
    flags = assess_volume(volume)
    on_step(Step.SEGMENT)
    found = models.segment(volume, on_progress=on_progress)
    compartments_ml = MappingProxyType(
        {name: volume_ml(mask) for name, mask in found.compartments.items()}
    )
    mask = found.hematoma
    flags |= assess_finding(
        has_hematoma=not mask.is_empty,
        compartments_ml=compartments_ml,
        volume_range=found.volume_range,
    )
    if mask.is_empty:
        return NoHematomaFound(flags=flags, compartments_ml=compartments_ml)
    on_step(Step.MEASURE)
    measurements = measure(volume, mask)
    on_step(Step.CLASSIFY)
    triplet = models.crop(volume, mask)
    prediction = models.classify(triplet)
    on_step(Step.EXPLAIN)
    saliency = models.explain(triplet, prediction)
    forecast = None
    if forecaster is not None:
        on_step(Step.FORECAST)
        forecast = _forecast(forecaster, volume, mask, on_progress=on_progress)
        flags |= assess_forecast(forecast)
    return HematomaFound(
        mask=mask,
        measurements=measurements,
        triplet=triplet,
        prediction=prediction,
        saliency=saliency,
        flags=flags | assess_mask(mask) | assess_prediction(prediction),
        volume_range=found.volume_range,
        compartments_ml=compartments_ml,
        uncertainty_zyx=found.uncertainty_zyx,
        forecast=forecast,
    )


def _forecast(
    forecaster: Forecaster, volume: CtVolume, mask: HematomaMask, *, on_progress: OnProgress
) -> GrowthForecast | None:
    """Return the forecast; None for a hematoma that the network cannot see or lets vanish."""
    try:
        forecast = forecaster.forecast(volume, mask, on_progress=on_progress)
    except EmptyHematomaError:
        return None
    return None if forecast.follow_up.is_empty else forecast
