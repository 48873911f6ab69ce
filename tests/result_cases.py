"""Analyses made by hand on synthetic CT, for tests of the result objects.

Mask and numbers come from the geometry of a ball of blood, not from a model.
"""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np
from ct_builder import Ball, build_ct_series
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import EnhancedCTImageStorage, generate_uid

from dicom_node.results.bundle import ResultObjects, encode
from dicom_node.results.context import ResultContext
from pipeline.analysis import HematomaFound, IchAnalysis, NoHematomaFound
from pipeline.ct_series import read_ct_series
from pipeline.finding import Compartment, VolumeRange
from pipeline.growth.forecast import GrowthForecast
from pipeline.measurement import AxialDiameter, HematomaMeasurements, volume_ml
from pipeline.operating_point import FamiliarityLimit, OperatingPoint
from pipeline.prediction import HePrediction
from pipeline.quality_flags import QualityFlag
from pipeline.saliency import SaliencyMaps, SliceSaliency
from pipeline.triplet import RegionOfInterest, SliceTriplet, TripletPosition, TripletSlice
from pipeline.volume import CtVolume, HematomaMask

SMALL = (96, 96)
BALL = Ball()
PROBABILITIES = (0.61, 0.72, 0.58)


@dataclass(frozen=True, kw_only=True)
class Card:
    """The part of a model card that results use."""

    name: str
    version: str = "1.2.0"
    demonstration: bool = True
    weights_sha256: str = "ab" * 32


SEGMENTATION_CARD = Card(name="ich-seg")
CLASSIFICATION_CARD = Card(name="he-vit", weights_sha256="cd" * 32)
GROWTH_CARD = Card(name="growth-unet", version="0.3.0", weights_sha256="ef" * 32)


def context(**changed) -> ResultContext:
    """Return a context with fixed time and demonstration models."""
    values = {
        "segmentation_card": SEGMENTATION_CARD,
        "classification_card": CLASSIFICATION_CARD,
        "now": datetime(2026, 1, 5, 9, 0, 30, tzinfo=UTC),
        "configuration_digest": "settings-1",
        "software_versions": ("0.1.0",),
    }
    return ResultContext(**(values | changed))


def ball_mask(volume: CtVolume, ball: Ball = BALL) -> HematomaMask:
    """Return the voxels whose centres lie in the ball."""
    voxels = np.zeros(volume.grid.shape_zyx, dtype=bool)
    rows, columns = np.mgrid[: voxels.shape[1], : voxels.shape[2]]
    spacing = volume.grid.pixel_spacing_yx_mm
    for z, origin in enumerate(volume.grid.slice_origins_lps_mm):
        squared = np.zeros(voxels.shape[1:])
        for axis in range(3):
            place = (
                origin[axis]
                + rows * spacing[0] * volume.grid.column_cosine_lps[axis]
                + columns * spacing[1] * volume.grid.row_cosine_lps[axis]
            )
            squared += (place - ball.center_lps_mm[axis]) ** 2
        voxels[z] = squared <= ball.radius_mm**2
    return HematomaMask(voxels_zyx=voxels, grid=volume.grid)


def hematoma_found(mask: HematomaMask, *, flags=frozenset()) -> HematomaFound:
    """Return an analysis that fits the mask, with a heat map that rises to one corner."""
    area_z = np.count_nonzero(mask.voxels_zyx, axis=(1, 2))
    largest = int(np.argmax(area_z))
    rows, columns = np.nonzero(mask.voxels_zyx[largest])
    roi = RegionOfInterest(
        y0=max(0, int(rows.min()) - 8),
        y1=min(mask.voxels_zyx.shape[1], int(rows.max()) + 9),
        x0=max(0, int(columns.min()) - 8),
        x1=min(mask.voxels_zyx.shape[2], int(columns.max()) + 9),
    )
    shape = (roi.y1 - roi.y0, roi.x1 - roi.x0)
    y, x = np.mgrid[: shape[0], : shape[1]]
    heat = ((y / (shape[0] - 1) + x / (shape[1] - 1)) / 2).astype(np.float32)
    places = list(zip(TripletPosition, (largest - 1, largest, largest + 1), strict=True))
    pixel_mm2 = float(np.prod(mask.grid.pixel_spacing_yx_mm))
    volume_ml = float(np.sum(area_z * mask.grid.slice_extents_mm) * pixel_mm2 / 1000)
    row = int(rows[len(rows) // 2])
    across = columns[rows == row]
    return HematomaFound(
        mask=mask,
        measurements=HematomaMeasurements(
            volume_ml=volume_ml,
            mesh_volume_ml=volume_ml * 0.99,
            abc2_volume_ml=volume_ml * 1.05,
            long_axis=AxialDiameter(
                length_mm=40.0,
                slice_index=largest,
                start_yx=(float(row), float(across.min())),
                end_yx=(float(row), float(across.max())),
            ),
            max_3d_diameter_mm=41.25,
            max_area_slice=largest,
            max_area_mm2=float(area_z[largest]) * pixel_mm2,
            slice_count=int(np.count_nonzero(area_z)),
            component_count=1,
            mean_hu=65.0,
            sd_hu=2.0,
        ),
        triplet=SliceTriplet(
            slices=tuple(
                TripletSlice(
                    position=position,
                    slice_index=index,
                    roi=roi,
                    image_yx=np.zeros(shape, dtype=np.uint8),
                )
                for position, index in places
            )
        ),
        prediction=HePrediction(slice_probabilities=PROBABILITIES, threshold=0.5),
        saliency=SaliencyMaps(
            slices=tuple(
                SliceSaliency(position=position, slice_index=index, roi=roi, heat_yx=heat)
                for position, index in places
            )
        ),
        flags=frozenset(flags),
    )


def doubting(analysis: HematomaFound) -> HematomaFound:
    """Return the analysis with an ensemble's opinion on a patient unlike its training cases."""
    prediction = replace(
        analysis.prediction,
        member_probabilities=(0.5, 0.7),
        unfamiliarity=1.25,
        familiarity_limit=FamiliarityLimit(distance=8.0, share=0.95, patients=40),
        operating_points=(
            OperatingPoint(
                name="sensitivity-90", threshold=0.2, sensitivity=0.91, specificity=0.4
            ),
            OperatingPoint(
                name="specificity-90", threshold=0.9, sensitivity=0.3, specificity=0.92
            ),
        ),
    )
    flags = analysis.flags | {QualityFlag.UNFAMILIAR}
    return replace(analysis, prediction=prediction, flags=flags)


@dataclass(frozen=True, kw_only=True, eq=False)
class Case:
    """A series with its volume and what was found on it."""

    series: list[Dataset]
    volume: CtVolume
    analysis: IchAnalysis

    def encode(self, **changed) -> ResultObjects:
        """Return the result objects; keywords change the context.

        A forecast is of the growth model `GROWTH_CARD`.
        """
        if isinstance(self.analysis, HematomaFound) and self.analysis.forecast is not None:
            changed.setdefault("growth_card", GROWTH_CARD)
        return encode(
            self.analysis, source=self.series, volume=self.volume, context=context(**changed)
        )


def case_with_hematoma(*, multi_frame: bool = False, **options) -> Case:
    """Return a head with one ball of blood; options are those of `build_ct_series`."""
    series = build_ct_series(balls=[BALL], **({"shape_yx": SMALL} | options))
    if multi_frame:
        series = [enhanced(series)]
    return case_of(series)


def case_of(series: list[Dataset]) -> Case:
    """Return the series with the ball found on it."""
    volume = read_ct_series(series)
    analysis = hematoma_found(ball_mask(volume), flags=volume.flags)
    return Case(series=series, volume=volume, analysis=analysis)


def case_without_hematoma(**options) -> Case:
    """Return a head without blood."""
    series = build_ct_series(**({"shape_yx": SMALL} | options))
    volume = read_ct_series(series)
    flags = volume.flags | {QualityFlag.CONTRAST_SUSPECTED}
    return Case(series=series, volume=volume, analysis=NoHematomaFound(flags=flags))


COMPARTMENTS_ML = {
    Compartment.EXTRA_AXIAL: 0.0,
    Compartment.EDEMA: 12.04,
    Compartment.INTRAVENTRICULAR: 3.456,
}


def case_with_everything(**options) -> Case:
    """Return a hematoma with range, compartments, both models' doubt and the flags of these.

    The doubt rises from slice to slice and to one corner, so that no two voxels are exchanged
    unnoticed; it reaches ln 2.
    """
    case = case_with_hematoma(**options)
    slices, rows, columns = case.volume.grid.shape_zyx
    z, y, x = np.mgrid[:slices, :rows, :columns]
    ramp = (z * rows + y) * columns + x
    doubt = (ramp / ramp.max() * np.log(2)).astype(np.float32)
    found = {QualityFlag.INTRAVENTRICULAR_EXTENSION, QualityFlag.VOLUME_UNCERTAIN}
    told = doubting(case.analysis)
    analysis = replace(
        told,
        volume_range=VolumeRange(low_ml=28.125, high_ml=38.875),
        compartments_ml=COMPARTMENTS_ML,
        uncertainty_zyx=doubt,
        flags=told.flags | found,
    )
    return replace(case, analysis=analysis)


#: What the forecast's range is, in mL; the ball of `GROWN` has 50.97.
FORECAST_RANGE = VolumeRange(low_ml=30.5, high_ml=71.25)
#: The clot grown by 3 mm and moved by 2 mm, so that it covers neither more nor less of it.
GROWN = Ball(
    center_lps_mm=tuple(np.add(BALL.center_lps_mm, (2.0, 0.0, 0.0))), radius_mm=BALL.radius_mm + 3
)


def forecast_of(volume: CtVolume, baseline: HematomaMask) -> GrowthForecast:
    """Return the forecast that the clot becomes the grown one; the field is not what counts."""
    follow_up = ball_mask(volume, GROWN)
    return GrowthForecast(
        follow_up=follow_up,
        baseline_ml=volume_ml(baseline),
        follow_up_ml=volume_ml(follow_up),
        volume_range=FORECAST_RANGE,
        displacement_zyx_mm=np.zeros((3, *volume.grid.shape_zyx), dtype=np.float32),
        displacement_grid=volume.grid,
        folding=0.0,
    )


def case_with_forecast(**options) -> Case:
    """Return a hematoma and how it is forecast to grow."""
    case = case_with_everything(**options)
    forecast = forecast_of(case.volume, case.analysis.mask)
    return replace(case, analysis=replace(case.analysis, forecast=forecast))


def case_with_ventricular_blood(**options) -> Case:
    """Return a head without hematoma, with blood in the ventricles."""
    case = case_without_hematoma(**options)
    analysis = NoHematomaFound(
        flags=case.analysis.flags | {QualityFlag.PRIMARY_INTRAVENTRICULAR},
        compartments_ml=COMPARTMENTS_ML,
    )
    return replace(case, analysis=analysis)


def enhanced(series: Sequence[Dataset]) -> Dataset:
    """Return the series as one Enhanced CT Image, frames in an order of their own."""
    order = [*series[::2], *series[1::2]]
    ds = deepcopy(series[0])
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = EnhancedCTImageStorage
    ds.SOPInstanceUID = generate_uid(entropy_srcs=[series[0].SOPInstanceUID, "enhanced"])
    shared = Dataset()
    shared.PixelMeasuresSequence = _group(series[0], "PixelSpacing", "SliceThickness")
    shared.PlaneOrientationSequence = _group(series[0], "ImageOrientationPatient")
    shared.PixelValueTransformationSequence = _group(
        series[0], "RescaleIntercept", "RescaleSlope", "RescaleType"
    )
    frames = []
    for image in order:
        frame = Dataset()
        frame.PlanePositionSequence = _group(image, "ImagePositionPatient")
        frames.append(frame)
    for keyword in (
        *("PixelSpacing", "SliceThickness", "ImageOrientationPatient", "ImagePositionPatient"),
        *("RescaleIntercept", "RescaleSlope", "RescaleType", "AcquisitionNumber"),
    ):
        delattr(ds, keyword)
    ds.SharedFunctionalGroupsSequence = Items([shared])
    ds.PerFrameFunctionalGroupsSequence = Items(frames)
    ds.NumberOfFrames = len(frames)
    ds.PixelData = b"".join(image.PixelData for image in order)
    return ds


def _group(image: Dataset, *keywords: str) -> Items:
    item = Dataset()
    for keyword in keywords:
        item[keyword] = deepcopy(image[keyword])
    return Items([item])
