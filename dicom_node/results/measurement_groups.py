"""The measurement groups of the report.

Viewers draw what has coordinates and label it with the numbers of all groups that share its
tracking UID. A group that neither has coordinates nor shares its UID with one that has makes
a common viewer show a black image; the groups here never leave one alone.
"""

from typing import Final

from highdicom.sr import (
    FindingSite,
    Measurement,
    PlanarROIMeasurementsAndQualitativeEvaluations,
    QualitativeEvaluation,
    TrackingIdentifier,
    VolumetricROIMeasurementsAndQualitativeEvaluations,
)
from pydicom.dataset import Dataset

from dicom_node.results import codes
from dicom_node.results.context import ResultContext
from dicom_node.results.identity import ResultIdentity, ResultRole
from dicom_node.results.measurement_items import (
    algorithm,
    compartment_measurements,
    doubt_measurements,
    image_region,
    planar_group,
    range_measurements,
    referenced_segment,
    volume_measurement,
)
from dicom_node.results.outline import (
    diameter_line,
    head_outline,
    hematoma_outline,
    roi_outline,
)
from dicom_node.results.segmentation import LESION
from dicom_node.results.source import SourceSeries
from pipeline.analysis import HematomaFound, NoHematomaFound
from pipeline.triplet import TripletPosition, TripletSlice
from pipeline.volume import CtVolume

Group = (
    PlanarROIMeasurementsAndQualitativeEvaluations
    | VolumetricROIMeasurementsAndQualitativeEvaluations
)
#: Decimals that a reader can use: 0.1 mm, 0.1 HU, 0.1 mm2; probabilities 0.0001.
_LENGTH_DECIMALS: Final = 1
_PROBABILITY_DECIMALS: Final = 4


def measurement_groups(
    analysis: HematomaFound,
    *,
    source: SourceSeries,
    segmentation: Dataset,
    identity: ResultIdentity,
    context: ResultContext,
) -> list[Group]:
    """Return the groups in the order in which viewers label them.

    Numbers come first. Of the groups that share the lesion's tracking UID viewers draw the
    first coordinates: the outline on the slice of largest area. Its neighbours have tracking
    UIDs of their own, or they would not be drawn.
    """
    slices = {
        triplet_slice.position: _slice_group(
            analysis,
            triplet_slice,
            probability,
            tracking=_slice_tracking(triplet_slice.position, identity),
            source=source,
            context=context,
        )
        for triplet_slice, probability in zip(
            analysis.triplet.slices, analysis.prediction.slice_probabilities, strict=True
        )
    }
    return [
        _volume_group(
            analysis, identity, source=source, segmentation=segmentation, context=context
        ),
        slices.pop(TripletPosition.MAX),
        _diameter_group(analysis, identity, source=source, context=context),
        *slices.values(),
    ]


def analysis_group(
    analysis: NoHematomaFound,
    *,
    volume: CtVolume,
    source: SourceSeries,
    identity: ResultIdentity,
    context: ResultContext,
) -> Group:
    """Return TID 1410 for a series without a hematoma: what was looked at and found instead.

    The region is the head on the middle slice. TID 1500 would allow a report without any
    group, but a common viewer shows a black image for it.
    """
    count = volume.grid.shape_zyx[0]
    middle = count // 2
    return planar_group(
        TrackingIdentifier(
            uid=identity.uid(ResultRole.ANALYSIS_TRACKING), identifier="head analysed"
        ),
        image_region(head_outline(volume.hu_zyx[middle]), source, middle),
        context=context,
        measurements=[
            Measurement(name=codes.SLICES_WITHOUT_HEMATOMA, value=count, unit=codes.SLICES),
            *compartment_measurements(analysis.compartments_ml),
        ],
        evaluations=[QualitativeEvaluation(codes.CEREBRAL_HEMORRHAGE, codes.ABSENT)],
        shows_hematoma=False,
    )


def _lesion_tracking(identity: ResultIdentity) -> TrackingIdentifier:
    """Return TID 4108 for the lesion; the segment carries the same pair."""
    return TrackingIdentifier(uid=identity.lesion_uid(LESION), identifier=LESION)


def _slice_tracking(position: TripletPosition, identity: ResultIdentity) -> TrackingIdentifier:
    if position is TripletPosition.MAX:
        return _lesion_tracking(identity)
    return TrackingIdentifier(
        uid=identity.uid(ResultRole.SLICE_TRACKING, position), identifier=f"{LESION} {position}"
    )


def _volume_group(
    analysis: HematomaFound,
    identity: ResultIdentity,
    *,
    source: SourceSeries,
    segmentation: Dataset,
    context: ResultContext,
) -> VolumetricROIMeasurementsAndQualitativeEvaluations:
    """Return TID 1411: the segment with everything that holds for the whole hematoma."""
    return VolumetricROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=_lesion_tracking(identity),
        referenced_segment=referenced_segment(segmentation, source),
        finding_type=codes.CEREBRAL_HEMORRHAGE,
        finding_sites=[FindingSite(codes.BRAIN)],
        algorithm_id=algorithm(context.segmentation_card, context),
        measurements=_lesion_measurements(analysis, context),
        qualitative_evaluations=[
            QualitativeEvaluation(
                name=codes.HE_RISK, value=codes.RISK_OF_LABEL[analysis.prediction.label]
            )
        ],
    )


def _lesion_measurements(analysis: HematomaFound, context: ResultContext) -> list[Measurement]:
    """Return volume and probability of expansion first: viewers show few lines."""
    found, prediction = analysis.measurements, analysis.prediction
    classifier = algorithm(context.classification_card, context)
    return [
        volume_measurement(codes.VOLUME_BY_VOXELS, found.volume_ml, method=codes.SUM_OF_VOXELS),
        Measurement(
            name=codes.HE_PROBABILITY,
            value=round(prediction.probability, _PROBABILITY_DECIMALS),
            unit=codes.NO_UNITS,
            algorithm_id=classifier,
        ),
        *range_measurements(analysis.volume_range),
        Measurement(
            name=codes.HE_THRESHOLD,
            value=round(prediction.threshold, _PROBABILITY_DECIMALS),
            unit=codes.NO_UNITS,
            algorithm_id=classifier,
        ),
        *doubt_measurements(prediction, classifier),
        volume_measurement(codes.VOLUME_OF_MESH, found.mesh_volume_ml),
        volume_measurement(codes.VOLUME_ABC2, found.abc2_volume_ml),
        Measurement(
            name=codes.MAXIMUM_3D_DIAMETER,
            value=round(found.max_3d_diameter_mm, _LENGTH_DECIMALS),
            unit=codes.MILLIMETER,
        ),
        Measurement(
            name=codes.ATTENUATION,
            value=round(found.mean_hu, _LENGTH_DECIMALS),
            unit=codes.HOUNSFIELD_UNIT,
            derivation=codes.MEAN,
        ),
        *compartment_measurements(analysis.compartments_ml),
    ]


def _diameter_group(
    analysis: HematomaFound,
    identity: ResultIdentity,
    *,
    source: SourceSeries,
    context: ResultContext,
) -> PlanarROIMeasurementsAndQualitativeEvaluations:
    """Return TID 1410: the long axis and its line."""
    axis = analysis.measurements.long_axis
    return planar_group(
        _lesion_tracking(identity),
        image_region(diameter_line(axis), source, axis.slice_index),
        context=context,
        measurements=[
            Measurement(
                name=codes.LONG_AXIS,
                value=round(axis.length_mm, _LENGTH_DECIMALS),
                unit=codes.MILLIMETER,
            )
        ],
    )


def _slice_group(
    analysis: HematomaFound,
    triplet_slice: TripletSlice,
    probability: float,
    *,
    tracking: TrackingIdentifier,
    source: SourceSeries,
    context: ResultContext,
) -> PlanarROIMeasurementsAndQualitativeEvaluations:
    """Return TID 1410 for one slice of the triplet: outline and its share of the opinion.

    Where the slice holds no hematoma, the region that the classifier saw is drawn instead.
    """
    outline = hematoma_outline(analysis.mask.voxels_zyx[triplet_slice.slice_index])
    measurements = [
        Measurement(
            name=codes.HE_SLICE_PROBABILITY,
            value=round(probability, _PROBABILITY_DECIMALS),
            unit=codes.NO_UNITS,
            algorithm_id=algorithm(context.classification_card, context),
        )
    ]
    if triplet_slice.position is TripletPosition.MAX:
        measurements.append(
            Measurement(
                name=codes.AREA,
                value=round(analysis.measurements.max_area_mm2, _LENGTH_DECIMALS),
                unit=codes.SQUARE_MILLIMETER,
            )
        )
    region = roi_outline(triplet_slice.roi) if outline is None else outline
    return planar_group(
        tracking,
        image_region(region, source, triplet_slice.slice_index),
        context=context,
        measurements=measurements,
        shows_hematoma=outline is not None,
    )
