"""The items that measurement groups of the report are made of."""

from collections.abc import Mapping
from typing import Final

import numpy as np
from highdicom.sr import (
    AlgorithmIdentification,
    FindingSite,
    GraphicTypeValues,
    ImageRegion,
    Measurement,
    PlanarROIMeasurementsAndQualitativeEvaluations,
    QualitativeEvaluation,
    ReferencedSegment,
    SourceImageForRegion,
    SourceSeriesForSegmentation,
    TrackingIdentifier,
)
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code

from dicom_node.results import codes
from dicom_node.results.context import ResultContext
from dicom_node.results.identity import ModelIdentity
from dicom_node.results.source import SourceSeries
from pipeline.finding import Compartment, VolumeRange
from pipeline.prediction import HePrediction

#: Decimals that a reader can use: 0.01 mL.
_VOLUME_DECIMALS: Final = 2
_DOUBT_DECIMALS: Final = 4


def planar_group(
    tracking: TrackingIdentifier,
    region: ImageRegion,
    *,
    context: ResultContext,
    measurements: list[Measurement],
    evaluations: list[QualitativeEvaluation] | None = None,
    shows_hematoma: bool = True,
) -> PlanarROIMeasurementsAndQualitativeEvaluations:
    """Return TID 1410: a region of one image with what was measured on it."""
    return PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=tracking,
        referenced_region=region,
        finding_type=codes.CEREBRAL_HEMORRHAGE if shows_hematoma else None,
        finding_sites=[FindingSite(codes.BRAIN)],
        algorithm_id=algorithm(context.segmentation_card, context),
        measurements=measurements,
        qualitative_evaluations=evaluations,
    )


def image_region(points: NDArray[np.float64], source: SourceSeries, index: int) -> ImageRegion:
    """Return a line through `points` (column, row) on one slice, shape (N, 2)."""
    image = source.images[index]
    frames = None if image.frame_number is None else [image.frame_number]
    return ImageRegion(
        graphic_type=GraphicTypeValues.POLYLINE,
        graphic_data=points,
        source_image=SourceImageForRegion(
            referenced_sop_class_uid=image.sop_class_uid,
            referenced_sop_instance_uid=image.sop_instance_uid,
            referenced_frame_numbers=frames,
        ),
    )


def volume_measurement(name: Code, value_ml: float, *, method: Code | None = None) -> Measurement:
    """Return a volume; the standard's unit is cm3, which is 1 mL (CID 7462)."""
    return Measurement(
        name=name,
        value=round(value_ml, _VOLUME_DECIMALS),
        unit=codes.CUBIC_CENTIMETER,
        method=method,
    )


def range_measurements(volume_range: VolumeRange | None) -> list[Measurement]:
    """Return both ends of the volume's range; nothing where the model has none."""
    if volume_range is None:
        return []
    return [
        volume_measurement(codes.VOLUME_LOW, volume_range.low_ml),
        volume_measurement(codes.VOLUME_HIGH, volume_range.high_ml),
    ]


def doubt_measurements(
    prediction: HePrediction, classifier: AlgorithmIdentification
) -> list[Measurement]:
    """Return spread and unfamiliarity of an opinion, each where the model knows it."""
    known = (
        (codes.HE_PROBABILITY_SPREAD, prediction.spread),
        (codes.HE_UNFAMILIARITY, prediction.unfamiliarity),
    )
    return [
        Measurement(
            name=name,
            value=round(value, _DOUBT_DECIMALS),
            unit=codes.NO_UNITS,
            algorithm_id=classifier,
        )
        for name, value in known
        if value is not None
    ]


def compartment_measurements(compartments_ml: Mapping[Compartment, float]) -> list[Measurement]:
    """Return the volume of each compartment that the network knows, 0 where it found nothing."""
    return [
        volume_measurement(
            codes.COMPARTMENT_VOLUME[name], compartments_ml[name], method=codes.SUM_OF_VOXELS
        )
        for name in Compartment
        if name in compartments_ml
    ]


def algorithm(model: ModelIdentity, context: ResultContext) -> AlgorithmIdentification:
    """Return TID 4019."""
    return AlgorithmIdentification(
        name=model.name,
        version=model.version,
        manufacturer=context.manufacturer,
        family=codes.ARTIFICIAL_INTELLIGENCE,
    )


def referenced_segment(segmentation: Dataset, source: SourceSeries) -> ReferencedSegment:
    """Return the reference to the one segment of a result, and to the images it lies on."""
    return ReferencedSegment(
        sop_class_uid=segmentation.SOPClassUID,
        sop_instance_uid=segmentation.SOPInstanceUID,
        segment_number=1,
        source_series=SourceSeriesForSegmentation(source.series_instance_uid),
    )
