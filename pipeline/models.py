"""The models that form an opinion: the only users of the compute device."""

from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import ModelBundleError
from pipeline.finding import Segmentation
from pipeline.model_bundle import ModelBundle, ModelCard, load_bundle
from pipeline.prediction import HePrediction
from pipeline.saliency import SaliencyMaps
from pipeline.segmentation.predictor import OnProgress, ignore_progress
from pipeline.triplet import SliceTriplet
from pipeline.volume import CtVolume, HematomaMask

if TYPE_CHECKING:
    import torch

    from pipeline.growth.forecaster import GrowthForecaster


class Models:
    """Segmentation, classification and, on demand, growth on one device, loaded once.

    Parameters
    ----------
    segmentation, classification : ModelBundle
        Card and weights of both models.
    growth : ModelBundle, optional
        Card and weights of the model that forecasts the follow-up; none, no forecast.
    device : torch.device
        Where all run.

    Attributes
    ----------
    forecaster : GrowthForecaster or None
        The growth model, whose `card` says who it is.

    Raises
    ------
    ModelBundleError
        If a bundle does not fit its task.
    """

    def __init__(
        self,
        segmentation: ModelBundle,
        classification: ModelBundle,
        growth: ModelBundle | None = None,
        *,
        device: "torch.device",
    ) -> None:
        from pipeline.classification.classifier import Classifier
        from pipeline.growth.forecaster import load_forecaster
        from pipeline.segmentation.segmenter import load_segmenter

        self.segmentation_card: ModelCard = segmentation.card
        self.classification_card: ModelCard = classification.card
        self.device = str(device)
        self._segmenter = load_segmenter(segmentation, device=device)
        self._classifier = Classifier(classification, device=device)
        self.forecaster: GrowthForecaster | None = (
            None if growth is None else load_forecaster(growth, device=device)
        )

    @property
    def cards(self) -> tuple[ModelCard, ...]:
        """Every model's card: segmentation, classification and, where there is one, growth."""
        both = (self.segmentation_card, self.classification_card)
        return both if self.forecaster is None else (*both, self.forecaster.card)

    def warm_up(self) -> None:
        """Run everything once on nothing, so that the first series does not pay for it.

        Loads the libraries that are imported at first use, and lets the device choose and
        compile its kernels.
        """
        self._segmenter.warm_up()
        self._classifier.warm_up()
        if self.forecaster is not None:
            self.forecaster.warm_up()

    def segment(
        self, volume: CtVolume, *, on_progress: OnProgress = ignore_progress
    ) -> Segmentation:
        """Return the hematoma, and what lies beside it, on the volume's own grid."""
        return self._segmenter.segment(volume, on_progress=on_progress)

    def crop(self, volume: CtVolume, mask: HematomaMask) -> SliceTriplet:
        """Return the slices that the classifier wants to see."""
        return self._classifier.crop(volume, mask)

    def classify(self, triplet: SliceTriplet) -> HePrediction:
        """Return the probability that the hematoma expands."""
        return self._classifier.classify(triplet)

    def explain(self, triplet: SliceTriplet, prediction: HePrediction) -> SaliencyMaps:
        """Return where the classifier looked."""
        return self._classifier.explain(triplet, prediction)


def load_models(
    *,
    segmentation: Path,
    classification: Path,
    growth: Path | None = None,
    device: str = "auto",
) -> Models:
    """Return the models, loaded from their bundle folders.

    Parameters
    ----------
    segmentation, classification : Path
        Bundle folders.
    growth : Path, optional
        Bundle folder of the forecast.
    device : str
        ``auto`` (CUDA where there is one, else the CPU), ``cpu``, ``cuda`` or ``cuda:N``.

    Raises
    ------
    ModelBundleError
        If a bundle cannot be used, or the device does not exist.
    """
    chosen = choose_device(device)
    return Models(
        load_bundle(segmentation, task="segmentation"),
        load_bundle(classification, task="classification"),
        None if growth is None else load_bundle(growth, task="growth"),
        device=chosen,
    )


def choose_device(wanted: str) -> "torch.device":
    """Return the device of a name.

    Raises
    ------
    ModelBundleError
        If the name is unknown or this machine has no such device.
    """
    import torch

    if wanted == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(wanted)
    except RuntimeError as error:
        raise ModelBundleError(f"Device {wanted!r} is unknown; use auto, cpu or cuda") from error
    if device.type not in ("cpu", "cuda"):
        raise ModelBundleError(f"Device {wanted!r} is not supported; use auto, cpu or cuda")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ModelBundleError(
            f"Device {wanted!r} is not there: {torch.cuda.device_count()} CUDA devices found"
        )
    return device
