"""The forecast of the hematoma at follow-up: an object and groups of its own.

Nothing of it stands under the codes or the tracking identifiers of what was measured, so that no
reader and no program can take it for a finding or add it to one.
"""

from typing import Final

import numpy as np
from highdicom.sr import (
    FindingSite,
    PlanarROIMeasurementsAndQualitativeEvaluations,
    TrackingIdentifier,
    VolumetricROIMeasurementsAndQualitativeEvaluations,
)
from pydicom.dataset import Dataset

from dicom_node.results import codes, wording
from dicom_node.results.context import ResultContext
from dicom_node.results.identity import ModelIdentity, ResultIdentity, ResultRole
from dicom_node.results.measurement_items import (
    algorithm,
    image_region,
    referenced_segment,
    volume_measurement,
)
from dicom_node.results.outline import hematoma_outline
from dicom_node.results.segmentation import LESION, SegmentKind, encode_segmentation
from dicom_node.results.source import SourceSeries
from pipeline.growth.forecast import GrowthForecast
from pipeline.volume import HematomaMask

#: Not measured: a light blue, sRGB (40, 170, 255), that no finding of the node has.
FORECAST: Final = SegmentKind(
    series_number=904,
    series_description=f"AI FORECAST hematoma SEG, not measured {wording.RESEARCH_MARK}",
    content_label="FORECAST",
    content_description="Forecast of the hematoma if it expands, research use only",
    segment_label="Predicted hematoma at follow-up",
    segment_description=wording.FORECAST_MASK,
    property_type=codes.FORECAST_HEMATOMA,
    lesion=f"{LESION} forecast",
    color=(66.8, -4.6, -51.5),
    series_role=ResultRole.FORECAST_SERIES,
    object_role=ResultRole.FORECAST,
    dimensions_role=ResultRole.FORECAST_DIMENSIONS,
)


def encode_forecast(
    forecast: GrowthForecast,
    *,
    source: SourceSeries,
    identity: ResultIdentity,
    context: ResultContext,
) -> Dataset:
    """Return the Segmentation of the predicted mask, made by the growth model.

    Raises
    ------
    ValueError
        If the context names no growth model.
    """
    return encode_segmentation(
        forecast.follow_up,
        source=source,
        identity=identity,
        context=context,
        kind=FORECAST,
        model=_maker(context),
    )


def forecast_groups(
    forecast: GrowthForecast,
    *,
    source: SourceSeries,
    segmentation: Dataset,
    identity: ResultIdentity,
    context: ResultContext,
) -> tuple[
    VolumetricROIMeasurementsAndQualitativeEvaluations,
    PlanarROIMeasurementsAndQualitativeEvaluations,
]:
    """Return TID 1411 with the volumes, and TID 1410 with an outline for viewers to draw.

    Parameters
    ----------
    segmentation : Dataset
        From `encode_forecast`.

    Raises
    ------
    ValueError
        If the context names no growth model.
    """
    tracking = TrackingIdentifier(
        uid=identity.lesion_uid(FORECAST.lesion), identifier=FORECAST.lesion
    )
    maker = algorithm(_maker(context), context)
    reach = forecast.volume_range
    measurements = [volume_measurement(codes.FORECAST_VOLUME, forecast.follow_up_ml)]
    if reach is not None:
        measurements += [
            volume_measurement(codes.FORECAST_LOW, reach.low_ml),
            volume_measurement(codes.FORECAST_HIGH, reach.high_ml),
        ]
    index, outline = _largest_outline(forecast.follow_up)
    return (
        VolumetricROIMeasurementsAndQualitativeEvaluations(
            tracking_identifier=tracking,
            referenced_segment=referenced_segment(segmentation, source),
            finding_type=codes.FORECAST_HEMATOMA,
            finding_sites=[FindingSite(codes.BRAIN)],
            algorithm_id=maker,
            measurements=measurements,
        ),
        PlanarROIMeasurementsAndQualitativeEvaluations(
            tracking_identifier=tracking,
            referenced_region=image_region(outline, source, index),
            finding_type=codes.FORECAST_HEMATOMA,
            finding_sites=[FindingSite(codes.BRAIN)],
            algorithm_id=maker,
        ),
    )


def _maker(context: ResultContext) -> ModelIdentity:
    if context.growth_card is None:
        raise ValueError("A forecast needs the name of the growth model that made it")
    return context.growth_card


def _largest_outline(mask: HematomaMask) -> tuple[int, np.ndarray]:
    """Return the slice of largest area and the outline on it, shape (N, 2)."""
    index = int(np.argmax(np.count_nonzero(mask.voxels_zyx, axis=(1, 2))))
    outline = hematoma_outline(mask.voxels_zyx[index])
    if outline is None:
        raise ValueError("An empty forecast has no outline")
    return index, outline
