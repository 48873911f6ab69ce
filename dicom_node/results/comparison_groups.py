"""The measurement groups of a comparison's report.

The follow-up comes first, with the change; the baseline after it. Where a scan shows the hematoma
there are two groups: the segment with its numbers (TID 1411), and the outline on the slice of
largest area (TID 1410), without which a common viewer shows a black image. All four share
the tracking UID that the analysis of the baseline gave the hematoma. A scan without hematoma has
one group, the head that was looked at.
"""

from typing import Final

import numpy as np
from highdicom.sr import (
    ContentItem,
    FindingSite,
    Measurement,
    PlanarROIMeasurementsAndQualitativeEvaluations,
    QualitativeEvaluation,
    TimePointContext,
    TrackingIdentifier,
    VolumetricROIMeasurementsAndQualitativeEvaluations,
)
from pydicom.dataset import Dataset

from dicom_node.results import codes
from dicom_node.results.compared_pair import ComparedPair, ComparedScan
from dicom_node.results.context import ResultContext
from dicom_node.results.identity import ResultRole
from dicom_node.results.measurement_groups import Group
from dicom_node.results.measurement_items import (
    algorithm,
    compartment_measurements,
    image_region,
    range_measurements,
    referenced_segment,
    volume_measurement,
)
from dicom_node.results.outline import head_outline, hematoma_outline
from dicom_node.results.segmentation import LESION
from pipeline.finding import Compartment
from pipeline.follow_up.comparison import FollowUpComparison
from pipeline.measurement import slice_areas_mm2

#: Decimals of a ratio in percent and of a time in hours.
_PERCENT_DECIMALS: Final = 1
_HOUR_DECIMALS: Final = 2
_AREA_DECIMALS: Final = 1


def comparison_groups(
    pair: ComparedPair,
    *,
    baseline_segmentation: Dataset | None,
    follow_up_segmentation: Dataset | None,
    context: ResultContext,
) -> list[ContentItem]:
    """Return the groups in the order in which viewers label them."""
    change = _change_measurements(pair.comparison)
    groups = [
        _scan_groups(pair, pair.follow_up, follow_up_segmentation, change, context=context),
        _scan_groups(pair, pair.baseline, baseline_segmentation, [], context=context),
    ]
    return [item for parts in groups for group in parts for item in group]


def _scan_groups(
    pair: ComparedPair,
    scan: ComparedScan,
    segmentation: Dataset | None,
    change: list[Measurement],
    *,
    context: ResultContext,
) -> list[Group]:
    time_point = _time_point(is_baseline=scan is pair.baseline)
    volume, *others = _volumes(scan)
    # Viewers show few lines: the change comes right after the volume.
    numbers = [volume, *change, *others]
    if segmentation is None:
        return [_looked_at(pair, scan, numbers, time_point, context)]
    return [
        _segment_group(pair, scan, segmentation, numbers, time_point, context),
        _outline_group(pair, scan, time_point, context),
    ]


def _segment_group(
    pair: ComparedPair,
    scan: ComparedScan,
    segmentation: Dataset,
    numbers: list[Measurement],
    time_point: TimePointContext,
    context: ResultContext,
) -> VolumetricROIMeasurementsAndQualitativeEvaluations:
    """Return TID 1411: the hematoma of one scan."""
    return VolumetricROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=_tracking(pair),
        referenced_segment=referenced_segment(segmentation, scan.source),
        time_point_context=time_point,
        finding_type=codes.CEREBRAL_HEMORRHAGE,
        finding_sites=[FindingSite(codes.BRAIN)],
        algorithm_id=algorithm(context.segmentation_card, context),
        measurements=numbers,
    )


def _outline_group(
    pair: ComparedPair, scan: ComparedScan, time_point: TimePointContext, context: ResultContext
) -> PlanarROIMeasurementsAndQualitativeEvaluations:
    """Return TID 1410: the outline on the slice of largest area, and the area."""
    mask = scan.finding.segmentation.hematoma
    areas_mm2 = slice_areas_mm2(mask)
    index = int(np.argmax(areas_mm2))
    outline = hematoma_outline(mask.voxels_zyx[index])
    if outline is None:
        raise ValueError("A hematoma has an outline where its area is largest")
    return PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=_tracking(pair),
        referenced_region=image_region(outline, scan.source, index),
        time_point_context=time_point,
        finding_type=codes.CEREBRAL_HEMORRHAGE,
        finding_sites=[FindingSite(codes.BRAIN)],
        algorithm_id=algorithm(context.segmentation_card, context),
        measurements=[
            Measurement(
                name=codes.AREA,
                value=round(float(areas_mm2[index]), _AREA_DECIMALS),
                unit=codes.SQUARE_MILLIMETER,
            )
        ],
    )


def _looked_at(
    pair: ComparedPair,
    scan: ComparedScan,
    numbers: list[Measurement],
    time_point: TimePointContext,
    context: ResultContext,
) -> PlanarROIMeasurementsAndQualitativeEvaluations:
    """Return TID 1410 for a scan without hematoma: the head on its middle slice."""
    name = "baseline" if scan is pair.baseline else "follow-up"
    volume = scan.finding.volume
    middle = volume.grid.shape_zyx[0] // 2
    return PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(
            uid=pair.identity.uid(ResultRole.COMPARISON_TRACKING, name),
            identifier=f"head analysed, {name}",
        ),
        referenced_region=image_region(head_outline(volume.hu_zyx[middle]), scan.source, middle),
        time_point_context=time_point,
        finding_sites=[FindingSite(codes.BRAIN)],
        algorithm_id=algorithm(context.segmentation_card, context),
        measurements=numbers,
        qualitative_evaluations=[QualitativeEvaluation(codes.CEREBRAL_HEMORRHAGE, codes.ABSENT)],
    )


def _tracking(pair: ComparedPair) -> TrackingIdentifier:
    return TrackingIdentifier(uid=pair.lesion_uid, identifier=LESION)


def _time_point(*, is_baseline: bool) -> TimePointContext:
    """Return TID 1502: which of the two scans.

    Its order and its offset in time are numbers in the context of the group, which validators
    take for measurements of the region; the time is a measurement of its own instead.
    """
    return TimePointContext(
        time_point="baseline" if is_baseline else "follow-up",
        time_point_type=codes.BASELINE_TIME_POINT if is_baseline else None,
    )


def _volumes(scan: ComparedScan) -> list[Measurement]:
    """Return what was measured on one scan."""
    volumes = scan.finding.volumes
    beside = volumes.intraventricular_ml
    return [
        volume_measurement(
            codes.VOLUME_BY_VOXELS, volumes.hematoma_ml, method=codes.SUM_OF_VOXELS
        ),
        *range_measurements(volumes.hematoma_range),
        *compartment_measurements(
            {} if beside is None else {Compartment.INTRAVENTRICULAR: beside}
        ),
    ]


def _change_measurements(comparison: FollowUpComparison) -> list[Measurement]:
    """Return the change with its range, and the time; relative where there was a hematoma."""
    change = comparison.change
    hours = comparison.interval.elapsed.total_seconds() / 3600
    measured = [volume_measurement(codes.VOLUME_CHANGE, change.absolute_ml)]
    if change.relative is not None:
        measured.append(
            Measurement(
                name=codes.VOLUME_CHANGE_RELATIVE,
                value=round(100 * change.relative, _PERCENT_DECIMALS),
                unit=codes.PERCENT,
            )
        )
    if change.change_range is not None:
        measured += [
            volume_measurement(codes.VOLUME_CHANGE_LOW, change.change_range.low_ml),
            volume_measurement(codes.VOLUME_CHANGE_HIGH, change.change_range.high_ml),
        ]
    elapsed = Measurement(
        name=codes.TIME_SINCE_BASELINE, value=round(hours, _HOUR_DECIMALS), unit=codes.HOUR
    )
    return [*measured, elapsed]
