"""What is known about a model: its use, its input, its training and its scores."""

from dataclasses import dataclass, field
from typing import Any, Literal

from pipeline.errors import ModelBundleError
from pipeline.forecast_error import ForecastError
from pipeline.operating_point import FamiliarityLimit, OperatingPoint
from pipeline.slice_input import SliceInput
from pipeline.training_statistics import TrainingStatistics
from pipeline.volume import Vector
from pipeline.volume_error import VolumeError

#: Tasks that a bundle may serve.
TASKS = ("segmentation", "classification", "growth")

#: Version of the card's layout that is written; a card that cannot be brought to it is refused.
CARD_FORMAT = 6

#: Fields that came with format 4, all of them the classifier's.
CLASSIFIER_FIELDS = ("slice_input", "operating_points", "familiarity", "members")

#: Ways in which the input of a segmentation network may be made other than the pipeline's.
SAMPLINGS = ("nnunet",)

#: Names under which architectures state a patch size that their weights are bound to.
_BOUND_PATCH_ARGUMENTS = ("patch_size", "patch_size_zyx", "img_size", "crop_size")


@dataclass(frozen=True, slots=True, kw_only=True)
class Intensity:
    """How Hounsfield units become the network's input: clip, subtract the mean, divide.

    Raises
    ------
    ModelBundleError
        If the range is empty or the standard deviation is not positive.
    """

    clip_low_hu: float
    clip_high_hu: float
    mean: float
    sd: float

    def __post_init__(self) -> None:
        if not self.clip_low_hu < self.clip_high_hu:
            raise ModelBundleError(f"Clip range {self.clip_low_hu}..{self.clip_high_hu} is empty")
        if not self.sd > 0:
            raise ModelBundleError(f"Standard deviation must be positive, got {self.sd}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """The card of a model bundle.

    Attributes
    ----------
    name, version : str
        Identity of the model.
    task : str
        One of `TASKS`. A growth model forecasts the hematoma of the follow-up scan; it has
        grid, patch and normalisation as a segmentation has.
    architecture : str
        Name in the registry of networks.
    architecture_arguments : dict
        What the registry builds the network with.
    spacing_zyx_mm : tuple of float or None
        Voxel size of the network's input; segmentation only.
    patch_size_zyx : tuple of int or None
        Tile of the sliding window; segmentation only.
    intensity : Intensity or None
        Normalisation; segmentation only.
    sampling : str or None
        ``nnunet`` if the input is resampled and padded as nnU-Net's own preprocessing does,
        for weights that were trained on it; null for the pipeline's way; segmentation only.
    window : tuple of float or None
        Level and width in HU; classification only.
    input_size : int or None
        Side of the square input in pixels; classification only.
    slice_input : SliceInput or None
        How a slice is cut and brought to that size; null for the defaults; classification only.
    members : int or None
        How many networks' probabilities are averaged, their weights named ``members.0.`` and so
        on; null for one network; classification only.
    class_names : tuple of str
        Names in the order of the output's columns.
    threshold : float or None
        Probability from which the first class is called; classification only.
    operating_points : tuple of OperatingPoint or None
        Further thresholds with their purpose; classification only.
    familiarity : FamiliarityLimit or None
        From which distance on a patient is unlike those it was trained on; its reference lies
        with the weights; classification only.
    probability_cutoff : float or None
        Probability from which a voxel is hematoma; segmentation only.
    minimum_component_ml : float or None
        Smallest connected part that is kept; segmentation only.
    volume_error : VolumeError or None
        Fitted error of the volume; segmentation only, None gives no range of the volume.
    forecast_error : ForecastError or None
        Fitted error of the forecast volume; growth only, None gives no range.
    training_statistics : TrainingStatistics or None
        What the scans behind the model looked like; None if nobody stated it.
    training_cohort : str
        Data that the model saw, with sources and their terms.
    metrics : dict
        Scores with intervals, by cohort.
    licence, intended_use : str
        Terms of use.
    demonstration : bool
        Whether the model only shows that the line works.
    weights_sha256 : str
        Digest of the weights file; filled in when the bundle is saved.
    card_format : int
        Layout version of the card.

    Raises
    ------
    ModelBundleError
        If a value is impossible or one that the task needs is absent.
    """

    name: str
    version: str
    task: Literal["segmentation", "classification", "growth"]
    architecture: str
    architecture_arguments: dict[str, Any]
    spacing_zyx_mm: Vector | None = None
    patch_size_zyx: tuple[int, int, int] | None = None
    intensity: Intensity | None = None
    sampling: str | None = None
    window: tuple[float, float] | None = None
    input_size: int | None = None
    slice_input: SliceInput | None = None
    members: int | None = None
    class_names: tuple[str, ...]
    threshold: float | None = None
    operating_points: tuple[OperatingPoint, ...] | None = None
    familiarity: FamiliarityLimit | None = None
    probability_cutoff: float | None = None
    minimum_component_ml: float | None = None
    volume_error: VolumeError | None = None
    forecast_error: ForecastError | None = None
    training_statistics: TrainingStatistics | None = None
    training_cohort: str
    metrics: dict[str, Any] = field(default_factory=dict)
    licence: str
    intended_use: str
    demonstration: bool
    weights_sha256: str = ""
    card_format: int = CARD_FORMAT

    def __post_init__(self) -> None:
        self._check_identity()
        if self.task == "segmentation":
            self._check_segmentation()
        if self.task == "classification":
            self._check_classification()
        if self.task == "growth":
            self._check_growth()
        for name in ("threshold", "probability_cutoff"):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 1:
                raise ModelBundleError(f"Card of {self.name}: {name} {value} is no probability")

    def _check_identity(self) -> None:
        if self.task not in TASKS:
            raise ModelBundleError(f"Task {self.task!r} is unknown; known: {', '.join(TASKS)}")
        if self.card_format != CARD_FORMAT:
            raise ModelBundleError(
                f"Card of {self.name} has format {self.card_format}, needed is {CARD_FORMAT}"
            )
        for name in ("name", "version", "architecture", "licence", "intended_use"):
            if not getattr(self, name):
                raise ModelBundleError(f"Card of {self.name or 'a model'}: {name} is empty")
        if not self.class_names:
            raise ModelBundleError(f"Card of {self.name}: class_names is empty")

    def _check_classification(self) -> None:
        self._need("window", "input_size", "threshold")
        self._refuse("volume_error", "forecast_error")
        if self.members is not None and self.members < 2:  # noqa: PLR2004  one is no ensemble
            raise ModelBundleError(f"Card of {self.name}: {self.members} members average nothing")
        names = [point.name for point in self.operating_points or ()]
        if len(set(names)) < len(names):
            raise ModelBundleError(f"Card of {self.name}: two operating points share a name")

    def _check_growth(self) -> None:
        self._refuse("volume_error", "sampling", *CLASSIFIER_FIELDS)
        self._need("probability_cutoff")
        self._check_grid()

    def _check_segmentation(self) -> None:
        self._refuse("forecast_error", *CLASSIFIER_FIELDS)
        self._need("probability_cutoff", "minimum_component_ml")
        self._check_grid()
        if self.sampling is not None and self.sampling not in SAMPLINGS:
            raise ModelBundleError(
                f"Card of {self.name}: sampling {self.sampling!r} is unknown; "
                f"known: null, {', '.join(SAMPLINGS)}"
            )
        if (self.minimum_component_ml or 0) < 0:
            raise ModelBundleError(f"Card of {self.name}: minimum_component_ml is negative")

    def _check_grid(self) -> None:
        """Check what networks need that go through a scan patch by patch."""
        self._need("spacing_zyx_mm", "patch_size_zyx", "intensity")
        if min(self.spacing_zyx_mm or (0,)) <= 0 or min(self.patch_size_zyx or (0,)) <= 0:
            raise ModelBundleError(f"Card of {self.name}: spacing and patch must be positive")
        for name in _BOUND_PATCH_ARGUMENTS:
            bound = self.architecture_arguments.get(name)
            if bound is not None and tuple(bound) != self.patch_size_zyx:
                raise ModelBundleError(
                    f"Weights of {self.name} are bound to patch size {tuple(bound)}, "
                    f"the card says {self.patch_size_zyx}"
                )

    def _refuse(self, *names: str) -> None:
        for name in names:
            if getattr(self, name) is not None:
                raise ModelBundleError(f"Card of {self.name}: {self.task} has no {name}")

    def _need(self, *names: str) -> None:
        absent = [name for name in names if getattr(self, name) is None]
        if absent:
            raise ModelBundleError(
                f"Card of {self.name}: {self.task} needs {', '.join(absent)}, which is null"
            )
