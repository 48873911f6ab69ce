"""What is known about a model: its use, its input, its training and its scores."""

import dataclasses
import json
import math
from dataclasses import dataclass, field
from typing import Any, Literal, cast

from pipeline.errors import ModelBundleError
from pipeline.forecast_error import ForecastError, forecast_error_from_fields
from pipeline.operating_point import FamiliarityLimit, OperatingPoint
from pipeline.slice_input import Resizing, RoiShape, SliceInput
from pipeline.volume import Vector
from pipeline.volume_error import VolumeError

#: Tasks that a bundle may serve.
TASKS = ("segmentation", "classification", "growth")

#: Version of the card's layout that is written; a card that cannot be brought to it is refused.
CARD_FORMAT = 5

#: Fields that came with format 4, all of them the classifier's.
_CLASSIFIER_FIELDS = ("slice_input", "operating_points", "familiarity", "members")

#: Fields that a format did not have yet; a card of that format is read as if they were null.
_ABSENT_FIELDS: dict[int, tuple[str, ...]] = {
    1: ("forecast_error", "volume_error", "sampling", *_CLASSIFIER_FIELDS),
    2: ("forecast_error", "sampling", *_CLASSIFIER_FIELDS),
    3: ("forecast_error", *_CLASSIFIER_FIELDS),
    4: ("forecast_error",),
    CARD_FORMAT: (),
}

#: Ways in which the input of a segmentation network may be made other than the pipeline's.
SAMPLINGS = ("nnunet",)

_DIGEST_LENGTH = 64

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
        self._refuse("volume_error", "sampling", *_CLASSIFIER_FIELDS)
        self._need("probability_cutoff")
        self._check_grid()

    def _check_segmentation(self) -> None:
        self._refuse("forecast_error", *_CLASSIFIER_FIELDS)
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


def card_to_json(card: ModelCard) -> str:
    """Return a card as indented JSON, every field named."""
    return json.dumps(dataclasses.asdict(card), indent=2, ensure_ascii=False) + "\n"


def card_from_json(text: str, *, where: str) -> ModelCard:
    """Return the card in a JSON text.

    Raises
    ------
    ModelBundleError
        If the text is no JSON object, or a field is missing, unknown, of the wrong type or
        impossible. `where` names the file in the message.
    """
    try:
        content = json.loads(text, parse_constant=_refuse_constant)
    except ValueError as error:
        raise ModelBundleError(f"{where} is no JSON: {error}") from error
    content = _in_present_format(content, where=where)
    _check_fields(content, ModelCard, where=where)
    if len(content["weights_sha256"]) != _DIGEST_LENGTH:
        raise ModelBundleError(f"{where}: weights_sha256 must have {_DIGEST_LENGTH} characters")
    try:
        return _card_from_fields(content, where=where)
    except (TypeError, ValueError, KeyError) as error:
        if isinstance(error, ModelBundleError):
            raise
        raise ModelBundleError(f"{where}: {error}") from error


def _in_present_format(content: Any, *, where: str) -> Any:  # noqa: ANN401  from JSON
    """Return the fields of a card of any format that is known, named as today."""
    if not isinstance(content, dict) or "card_format" not in content:
        return content
    version = content["card_format"]
    absent = _ABSENT_FIELDS.get(version) if type(version) is int else None
    if absent is None:
        known = " and ".join(str(number) for number in _ABSENT_FIELDS)
        raise ModelBundleError(
            f"{where} has card format {version!r}; this version of ichnode reads {known}"
        )
    unknown = sorted(set(absent) & set(content))
    if unknown:
        raise ModelBundleError(f"{where}: unknown {', '.join(unknown)} in format {version}")
    return {**content, **dict.fromkeys(absent), "card_format": CARD_FORMAT}


def _card_from_fields(content: dict[str, Any], *, where: str) -> ModelCard:
    fields = dict(content)
    if fields["intensity"] is not None:
        _check_fields(fields["intensity"], Intensity, where=f"{where}, intensity")
        values = {key: float(value) for key, value in fields["intensity"].items()}
        fields["intensity"] = Intensity(**values)
    if fields["volume_error"] is not None:
        fields["volume_error"] = _volume_error(fields["volume_error"], where=where)
    if fields["forecast_error"] is not None:
        fields["forecast_error"] = forecast_error_from_fields(fields["forecast_error"])
    _read_classifier_fields(fields, where=where)
    fields["spacing_zyx_mm"] = _tuple(fields["spacing_zyx_mm"], float, 3)
    fields["patch_size_zyx"] = _tuple(fields["patch_size_zyx"], int, 3)
    fields["window"] = _tuple(fields["window"], float, 2)
    fields["class_names"] = tuple(str(name) for name in fields["class_names"])
    for name in ("threshold", "probability_cutoff", "minimum_component_ml"):
        if fields[name] is not None:
            fields[name] = float(fields[name])
            if not math.isfinite(fields[name]):
                raise ModelBundleError(f"{where}: {name} is not finite")
    if not isinstance(fields["demonstration"], bool):
        raise ModelBundleError(f"{where}: demonstration must be true or false")
    return ModelCard(**fields)


def _read_classifier_fields(fields: dict[str, Any], *, where: str) -> None:
    """Put the classifier's own types in the place of what JSON holds."""
    if fields["slice_input"] is not None:
        fields["slice_input"] = _slice_input(fields["slice_input"], where=f"{where}, slice_input")
    if fields["operating_points"] is not None:
        fields["operating_points"] = tuple(
            _operating_point(point, where=f"{where}, operating_points")
            for point in fields["operating_points"]
        )
    if fields["familiarity"] is not None:
        fields["familiarity"] = _familiarity(fields["familiarity"], where=f"{where}, familiarity")
    if fields["members"] is not None and type(fields["members"]) is not int:
        raise ModelBundleError(f"{where}: members must be a whole number")


def _slice_input(fields: dict[str, Any], *, where: str) -> SliceInput:
    _check_fields(fields, SliceInput, where=where)
    return SliceInput(
        roi=RoiShape(fields["roi"]),
        margin_mm=float(fields["margin_mm"]),
        resizing=Resizing(fields["resizing"]),
        mean=tuple(float(value) for value in fields["mean"]),
        sd=tuple(float(value) for value in fields["sd"]),
    )


def _operating_point(fields: dict[str, Any], *, where: str) -> OperatingPoint:
    _check_fields(fields, OperatingPoint, where=where)
    numbers = {name: float(value) for name, value in fields.items() if name != "name"}
    return OperatingPoint(name=str(fields["name"]), **numbers)


def _familiarity(fields: dict[str, Any], *, where: str) -> FamiliarityLimit:
    _check_fields(fields, FamiliarityLimit, where=where)
    if type(fields["patients"]) is not int:
        raise ModelBundleError(f"{where}: patients must be a whole number")
    return FamiliarityLimit(
        distance=float(fields["distance"]),
        share=float(fields["share"]),
        patients=fields["patients"],
    )


def _volume_error(fields: dict[str, Any], *, where: str) -> VolumeError:
    _check_fields(fields, VolumeError, where=f"{where}, volume_error")
    if type(fields["patients"]) is not int:
        raise ModelBundleError(f"{where}, volume_error: patients must be a whole number")
    numbers = {
        name: float(value) for name, value in fields.items() if name not in ("patients", "cohort")
    }
    return VolumeError(patients=fields["patients"], cohort=str(fields["cohort"]), **numbers)


def _check_fields(content: object, kind: type[Any], *, where: str) -> None:
    if not isinstance(content, dict):
        raise ModelBundleError(f"{where} must be a JSON object")
    names = {item.name for item in dataclasses.fields(kind)}
    missing = sorted(names - set(content))
    unknown = sorted(set(content) - names)
    if missing:
        raise ModelBundleError(f"{where}: missing {', '.join(missing)}")
    if unknown:
        raise ModelBundleError(f"{where}: unknown {', '.join(unknown)}")


def _tuple(values: object, kind: type[Any], length: int) -> Any:  # noqa: ANN401  from JSON
    if values is None:
        return None
    items = tuple(kind(value) for value in cast("list[Any]", values))
    if len(items) != length:
        raise ValueError(f"{length} values expected, got {len(items)}")
    return items


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no number")
