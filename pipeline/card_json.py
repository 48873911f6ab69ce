"""The card of a model bundle as JSON: every format that was ever written can be read."""

import dataclasses
import json
import math
from typing import Any, cast

from pipeline.errors import ModelBundleError
from pipeline.forecast_error import forecast_error_from_fields
from pipeline.model_card import CARD_FORMAT, CLASSIFIER_FIELDS, Intensity, ModelCard
from pipeline.operating_point import FamiliarityLimit, OperatingPoint
from pipeline.slice_input import Resizing, RoiShape, SliceInput
from pipeline.training_statistics import training_statistics_from_fields
from pipeline.volume_error import VolumeError

_SINCE_6 = ("training_statistics",)

#: Fields that a format did not have yet; a card of that format is read as if they were null.
_ABSENT_FIELDS: dict[int, tuple[str, ...]] = {
    1: (*_SINCE_6, "forecast_error", "volume_error", "sampling", *CLASSIFIER_FIELDS),
    2: (*_SINCE_6, "forecast_error", "sampling", *CLASSIFIER_FIELDS),
    3: (*_SINCE_6, "forecast_error", *CLASSIFIER_FIELDS),
    4: (*_SINCE_6, "forecast_error"),
    5: _SINCE_6,
    CARD_FORMAT: (),
}

_DIGEST_LENGTH = 64


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
    except (ValueError, RecursionError) as error:
        raise ModelBundleError(f"{where} is no JSON: {error}") from error
    content = _in_present_format(content, where=where)
    _check_fields(content, ModelCard, where=where)
    digest = content["weights_sha256"]
    if not isinstance(digest, str) or len(digest) != _DIGEST_LENGTH:
        raise ModelBundleError(f"{where}: weights_sha256 must have {_DIGEST_LENGTH} characters")
    try:
        return _card_from_fields(content, where=where)
    except (TypeError, ValueError, LookupError, ArithmeticError, AttributeError) as error:
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
    if fields["training_statistics"] is not None:
        fields["training_statistics"] = training_statistics_from_fields(
            fields["training_statistics"]
        )
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
