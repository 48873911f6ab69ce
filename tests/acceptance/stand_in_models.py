"""Models that call blood what has its density: a worker's eyes without weights or minutes."""

from dataclasses import dataclass

import numpy as np

from dicom_node.bootstrap import parts
from dicom_node.bootstrap.analysts import WorkerAnalyst
from dicom_node.bootstrap.kinds import AnalystOfKinds
from dicom_node.bootstrap.pair_analyst import PairAnalyst
from dicom_node.bootstrap.roles import utc_now
from dicom_node.bootstrap.shadow import ShadowAnalyst, has_shadow
from dicom_node.jobs.state import JobKind
from dicom_node.series_analysis import ResultConfiguration, SeriesAnalyst
from dicom_node.series_comparison import SeriesComparer
from pipeline.finding import Segmentation
from pipeline.model_bundle import load_bundle
from pipeline.prediction import HePrediction
from pipeline.saliency import SaliencyMaps, SliceSaliency
from pipeline.segmentation.predictor import ignore_progress
from pipeline.triplet import crop_triplet
from pipeline.volume import HematomaMask

#: Blood of the built heads is 65 HU, brain 35, skull 1000.
BLOOD_HU = (50, 80)


@dataclass(frozen=True, kw_only=True)
class StandInCard:
    """What results must know of a model."""

    name: str
    version: str = "0"
    demonstration: bool = True
    weights_sha256: str = "0" * 64


class StandInModels:
    """Calls blood what has the density of blood; expects expansion of everything.

    It forecasts nothing unless a growth model is put beside it.
    """

    segmentation_card = StandInCard(name="stand-in segmentation")
    classification_card = StandInCard(name="stand-in classification")
    forecaster = None

    def segment(self, volume, *, on_progress=ignore_progress):
        """Return the voxels with the density of blood, in one go."""
        low, high = BLOOD_HU
        blood = (volume.hu_zyx > low) & (volume.hu_zyx < high)
        on_progress(1.0)
        return Segmentation(hematoma=HematomaMask(voxels_zyx=blood, grid=volume.grid))

    def crop(self, volume, mask):
        """Return the default triplet."""
        return crop_triplet(volume, mask)

    def classify(self, triplet):
        """Return 0.7 for every slice."""
        return HePrediction(slice_probabilities=(0.7,) * len(triplet.slices), threshold=0.5)

    def explain(self, triplet, prediction):
        """Return a ramp from left to right."""
        del prediction
        return SaliencyMaps(
            slices=tuple(
                SliceSaliency(
                    position=one.position,
                    slice_index=one.slice_index,
                    roi=one.roi,
                    heat_yx=np.tile(
                        np.linspace(0, 1, one.image_yx.shape[1], dtype=np.float32),
                        (one.image_yx.shape[0], 1),
                    ),
                )
                for one in triplet.slices
            )
        )


def make_stand_in(settings, layout):
    """Return the worker's analyst."""
    models = StandInModels()
    growth = parts.growth_bundle(settings)
    if growth is not None:
        import torch  # only the scenario with a forecast pays for it

        from pipeline.growth.forecaster import load_forecaster

        bundle = load_bundle(growth, task="growth")
        models.forecaster = load_forecaster(bundle, device=torch.device("cpu"))
    told = ResultConfiguration(say_not_processed=settings.results.say_not_processed)
    analyst = SeriesAnalyst(models, clock=utc_now, configuration=told)
    analysts = {
        JobKind.ANALYSIS: WorkerAnalyst(analyst, layout),
        JobKind.COMPARISON: PairAnalyst(SeriesComparer(models, clock=utc_now), layout),
    }
    if has_shadow(settings):  # on trial is the stand-in itself
        analysts[JobKind.SHADOW] = ShadowAnalyst(lambda: WorkerAnalyst(analyst, layout))
    return AnalystOfKinds(analysts)
