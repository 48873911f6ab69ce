"""The straight line from a volume to an opinion, with a fake that sees a ball."""

from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from mask_builder import BLOOD_HU, ball

from pipeline.analysis import HematomaFound, NoHematomaFound, Step, analyze
from pipeline.errors import EmptyHematomaError
from pipeline.finding import Compartment, Segmentation, VolumeRange
from pipeline.growth.forecast import GrowthForecast
from pipeline.measurement import volume_ml
from pipeline.prediction import HeLabel, HePrediction
from pipeline.quality_flags import QualityFlag
from pipeline.saliency import SaliencyMaps, SliceSaliency
from pipeline.segmentation.predictor import OnProgress, ignore_progress
from pipeline.triplet import SliceTriplet, crop_triplet
from pipeline.volume import CtVolume, HematomaMask, Vector, regular_grid

SPACING_ZYX_MM = (5.0, 1.0, 1.0)
SHAPE_ZYX = (28, 160, 180)
CENTRE_ZYX_MM = (70.0, 80.0, 90.0)


@dataclass
class BrightBlood:
    """An opinion that calls blood what has the density of blood."""

    said: list[str] = field(default_factory=list)

    def segment(
        self, volume: CtVolume, *, on_progress: OnProgress = ignore_progress
    ) -> Segmentation:
        """Return the voxels of blood density, after two tiles."""
        self.said.append("asked to segment")
        for share in (0.5, 1.0):
            on_progress(share)
        blood = HematomaMask(voxels_zyx=volume.hu_zyx == BLOOD_HU, grid=volume.grid)
        return Segmentation(hematoma=blood)

    def crop(self, volume: CtVolume, mask: HematomaMask) -> SliceTriplet:
        """Return the default triplet."""
        return crop_triplet(volume, mask)

    def classify(self, triplet: SliceTriplet) -> HePrediction:
        """Return a rising probability."""
        self.said.append("asked to classify")
        values = tuple(0.2 * (index + 1) for index in range(len(triplet.slices)))
        return HePrediction(slice_probabilities=values, threshold=0.3)

    def explain(self, triplet: SliceTriplet, prediction: HePrediction) -> SaliencyMaps:
        """Return maps of zeros."""
        self.said.append("asked to explain")
        assert len(prediction.slice_probabilities) == len(triplet.slices)
        return SaliencyMaps(
            slices=tuple(
                SliceSaliency(
                    position=part.position,
                    slice_index=part.slice_index,
                    roi=part.roi,
                    heat_yx=np.zeros(part.image_yx.shape, np.float32),
                )
                for part in triplet.slices
            )
        )


def head(
    *,
    radius_mm: float,
    centre_zyx_mm: Vector = CENTRE_ZYX_MM,
    flags: frozenset[QualityFlag] = frozenset(),
) -> CtVolume:
    """Return an ellipsoid of brain in a shell of bone in air, with a ball of blood."""
    z, y, x = np.meshgrid(
        *(np.arange(size) * step for size, step in zip(SHAPE_ZYX, SPACING_ZYX_MM, strict=True)),
        indexing="ij",
    )
    middle = [(size - 1) * step / 2 for size, step in zip(SHAPE_ZYX, SPACING_ZYX_MM, strict=True)]
    reach = np.sqrt(
        ((z - middle[0]) / 90) ** 2 + ((y - middle[1]) / 75) ** 2 + ((x - middle[2]) / 65) ** 2
    )
    hu = np.where(reach <= 1, 32, -1000).astype(np.int16)
    hu[(reach > 0.9) & (reach <= 1)] = 900
    if radius_mm > 0:
        blood = ball(
            radius_mm=radius_mm,
            spacing_zyx_mm=SPACING_ZYX_MM,
            shape_zyx=SHAPE_ZYX,
            centre_zyx_mm=centre_zyx_mm,
        )
        hu[blood.voxels_zyx] = BLOOD_HU
    return CtVolume(
        hu_zyx=hu,
        grid=regular_grid(SHAPE_ZYX, SPACING_ZYX_MM),
        slice_thickness_mm=(SPACING_ZYX_MM[0],) * SHAPE_ZYX[0],
        flags=flags,
    )


def test_a_ball_is_found_measured_judged_and_explained():
    """A ball of 20 mm radius has 33.5 mL, 40 mm of diameter and its middle at slice 14."""
    found = analyze(head(radius_mm=20), BrightBlood())

    assert isinstance(found, HematomaFound)
    assert found.measurements.volume_ml == pytest.approx(4 / 3 * np.pi * 20**3 / 1000, rel=0.02)
    assert found.measurements.long_axis.length_mm == pytest.approx(40, abs=1)
    assert found.measurements.max_area_slice == 14
    assert [part.slice_index for part in found.triplet.slices] == [13, 14, 15]
    assert found.prediction.probability == pytest.approx(0.4)
    assert found.prediction.label is HeLabel.HE
    assert [part.roi for part in found.saliency.slices] == [
        part.roi for part in found.triplet.slices
    ]


def test_no_hematoma_is_a_finding():
    """A head without blood is not judged any further."""
    models = BrightBlood()

    assert isinstance(analyze(head(radius_mm=0), models), NoHematomaFound)
    assert models.said == ["asked to segment"]


def test_progress_is_told_tile_by_tile_within_the_segmentation():
    """Both tiles are heard of after the step of segmentation began and before the next."""
    heard: list[str] = []

    analyze(
        head(radius_mm=20),
        BrightBlood(),
        on_step=lambda step: heard.append(step.value),
        on_progress=lambda share: heard.append(f"{share:.0%}"),
    )

    assert heard == ["assess", "segment", "50%", "100%", "measure", "classify", "explain"]


@dataclass
class Compartments(BrightBlood):
    """An opinion that also knows the ventricles, a range and its own doubt."""

    compartment_radius_mm: float = 10.0

    def segment(
        self, volume: CtVolume, *, on_progress: OnProgress = ignore_progress
    ) -> Segmentation:
        """Return the blood, a ball in the ventricles, and 25 to 35 mL as the range."""
        found = BrightBlood.segment(self, volume, on_progress=on_progress)
        ventricles = ball(
            radius_mm=self.compartment_radius_mm,
            spacing_zyx_mm=SPACING_ZYX_MM,
            shape_zyx=SHAPE_ZYX,
            centre_zyx_mm=(70.0, 40.0, 90.0),
        )
        return replace(
            found,
            compartments={
                Compartment.INTRAVENTRICULAR: HematomaMask(
                    voxels_zyx=ventricles.voxels_zyx, grid=volume.grid
                )
            },
            volume_range=None
            if found.hematoma.is_empty
            else VolumeRange(low_ml=25.0, high_ml=35.0),
        )


def test_compartments_and_range_become_volumes_and_flags():
    """A ball of 10 mm radius in the ventricles has 4.2 mL; 25 to 35 mL spans 30 mL."""
    found = analyze(head(radius_mm=20), Compartments())

    assert isinstance(found, HematomaFound)
    assert found.compartments_ml[Compartment.INTRAVENTRICULAR] == pytest.approx(4.19, rel=0.05)
    assert {QualityFlag.INTRAVENTRICULAR_EXTENSION, QualityFlag.VOLUME_UNCERTAIN} <= found.flags
    assert QualityFlag.PRIMARY_INTRAVENTRICULAR not in found.flags


def test_ventricular_blood_alone_is_flagged_without_a_hematoma():
    """No hematoma, but not nothing."""
    found = analyze(head(radius_mm=0), Compartments())

    assert isinstance(found, NoHematomaFound)
    assert QualityFlag.PRIMARY_INTRAVENTRICULAR in found.flags
    assert found.compartments_ml[Compartment.INTRAVENTRICULAR] == pytest.approx(4.19, rel=0.05)


def test_every_step_is_told_before_it_begins():
    """The listener hears the steps in their order, and the models are asked in that order."""
    models = BrightBlood()

    analyze(head(radius_mm=20), models, on_step=models.said.append)

    told = [said for said in models.said if isinstance(said, Step)]
    assert told == [step for step in Step if step is not Step.FORECAST]
    assert models.said.index(Step.SEGMENT) < models.said.index("asked to segment")
    assert models.said.index(Step.CLASSIFY) < models.said.index("asked to classify")


@dataclass
class Grower:
    """A growth model that adds one slice above, sees nothing below a size, or loses it all."""

    smallest_voxels: int = 1
    loses_it: bool = False

    def forecast(
        self,
        volume: CtVolume,
        hematoma: HematomaMask,
        *,
        on_progress: OnProgress = ignore_progress,
    ) -> GrowthForecast:
        """Return the mask and its copy one slice higher, after two patches."""
        if np.count_nonzero(hematoma.voxels_zyx) < self.smallest_voxels:
            raise EmptyHematomaError("too small")
        for share in (0.5, 1.0):
            on_progress(share)
        grown = hematoma.voxels_zyx | np.roll(hematoma.voxels_zyx, 1, axis=0)
        follow_up = HematomaMask(voxels_zyx=grown & (not self.loses_it), grid=volume.grid)
        return GrowthForecast(
            follow_up=follow_up,
            baseline_ml=volume_ml(hematoma),
            follow_up_ml=volume_ml(follow_up),
            volume_range=None,
            displacement_zyx_mm=np.zeros((3, *volume.grid.shape_zyx), dtype=np.float32),
            displacement_grid=volume.grid,
            folding=0.0,
        )


def test_a_growth_model_forecasts_after_everything_else():
    """The last step, with a progress of its own; the measured mask stays what it was."""
    heard: list[str] = []

    found = analyze(
        head(radius_mm=20),
        BrightBlood(),
        forecaster=Grower(),
        on_step=lambda step: heard.append(step.value),
        on_progress=lambda share: heard.append(f"{share:.0%}"),
    )

    assert isinstance(found, HematomaFound)
    assert heard[-4:] == ["explain", "forecast", "50%", "100%"]
    assert found.forecast is not None
    assert found.forecast.baseline_ml == found.measurements.volume_ml
    assert found.forecast.growth_ml > 3
    assert volume_ml(found.mask) == found.measurements.volume_ml
    assert QualityFlag.NO_FORECAST not in found.flags


@pytest.mark.parametrize(
    "grower", [Grower(smallest_voxels=10**6), Grower(loses_it=True)], ids=["unseen", "vanished"]
)
def test_a_hematoma_without_forecast_is_analysed_all_the_same(grower):
    """The flag says that one was wanted; the opinion stands."""
    found = analyze(head(radius_mm=20), BrightBlood(), forecaster=grower)

    assert isinstance(found, HematomaFound)
    assert found.forecast is None
    assert QualityFlag.NO_FORECAST in found.flags
    assert found.prediction.probability == pytest.approx(0.4)


def test_nothing_is_forecast_without_a_hematoma_or_without_a_growth_model():
    """Neither is a doubt about the patient."""
    heard: list[Step] = []
    nothing = analyze(head(radius_mm=0), BrightBlood(), forecaster=Grower(), on_step=heard.append)
    plain = analyze(head(radius_mm=20), BrightBlood())

    assert Step.FORECAST not in heard
    assert QualityFlag.NO_FORECAST not in nothing.flags | plain.flags


def test_doubts_about_volume_and_mask_are_both_reported():
    """The reader saw a tilt; the bleed lies in the lowest slice: both are on the result."""
    volume = head(
        radius_mm=20,
        centre_zyx_mm=(0.0, 80.0, 90.0),
        flags=frozenset({QualityFlag.TILT_CORRECTED}),
    )

    found = analyze(volume, BrightBlood())

    assert {QualityFlag.HEMATOMA_AT_EDGE, QualityFlag.TILT_CORRECTED} <= found.flags


def test_doubts_about_the_volume_are_reported_without_hematoma():
    """What the reader saw goes with the finding that there is nothing."""
    flags = frozenset({QualityFlag.SLICES_MISSING})

    assert flags <= analyze(head(radius_mm=0, flags=flags), BrightBlood()).flags


def test_a_patient_unlike_the_training_cases_is_flagged():
    """The opinion stays, and whoever reads it is warned."""

    class Stranger(BrightBlood):
        def classify(self, triplet: SliceTriplet) -> HePrediction:
            return replace(super().classify(triplet), unfamiliarity=1.5)

    found = analyze(head(radius_mm=20), Stranger())

    assert isinstance(found, HematomaFound)
    assert QualityFlag.UNFAMILIAR in found.flags
    assert QualityFlag.UNFAMILIAR not in analyze(head(radius_mm=20), BrightBlood()).flags
