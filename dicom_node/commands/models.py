"""``ichnode models list`` and ``show``: which models there are, and what their cards say."""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from dicom_node.bootstrap import parts
from dicom_node.commands.screen import say, show_table
from dicom_node.operator_error import ExitCode, OperatorError
from pipeline.errors import ModelBundleError
from pipeline.model_bundle import CARD_FILE, WEIGHTS_FILE, builtin_bundle_paths, load_card
from pipeline.model_card import ModelCard

_MEGABYTE = 10**6

_HEADERS = ("name", "version", "task", "architecture", "size", "demonstration", "folder")

#: Fields of a card that are texts to be read as a whole, not cells.
_LONG_FIELDS = ("training_cohort", "licence", "intended_use")


def run_list(folders: Sequence[Path], *, as_json: bool) -> int:
    """Show the shipped bundles and those in some folders."""
    found = [*builtin_bundle_paths(), *_bundles_in(folders)]
    rows = []
    faults = []
    for path in found:
        try:
            rows.append(_row(path, load_card(path)))
        except ModelBundleError as error:
            rows.append(("unreadable", "", "", "", _size(path), "", str(path)))
            faults.append(str(error))
    if as_json:
        models = [dict(zip(_HEADERS, row, strict=True)) for row in rows]
        sys.stdout.write(json.dumps({"models": models, "faults": faults}, indent=2) + "\n")
    else:
        show_table(_HEADERS, rows)
        for fault in faults:
            say(fault, style="red")
    return ExitCode.FAILED if faults else ExitCode.OK


def run_show(bundle: str, *, as_json: bool) -> int:
    """Show the card of a bundle."""
    path = bundle_path(bundle)
    try:
        card = load_card(path)
    except ModelBundleError as error:
        raise OperatorError(str(error)) from error
    if as_json:
        document = {"folder": str(path), "card": json.loads((path / CARD_FILE).read_text("utf-8"))}
        sys.stdout.write(json.dumps(document, indent=2) + "\n")
        return ExitCode.OK
    rows = [
        ("folder", str(path)),
        ("name", f"{card.name} {card.version}"),
        ("task", card.task),
        ("architecture", f"{card.architecture} {_arguments(card)}"),
        ("classes", ", ".join(card.class_names)),
        ("weights", f"{_size(path)}, SHA-256 {card.weights_sha256}"),
        ("demonstration only", "yes" if card.demonstration else "no"),
    ]
    rows += [(name.replace("_", " "), value) for name, value in _numbers(card)]
    show_table(("field", "value"), rows, title="Model card")
    for name in _LONG_FIELDS:
        say(f"{name.replace('_', ' ')}: {getattr(card, name)}")
    for name, value in card.metrics.items():
        _tell_metric(name, value)
    return ExitCode.OK


def _bundles_in(folders: Sequence[Path]) -> list[Path]:
    """Return the bundles that folders are or hold."""
    found = []
    for folder in folders:
        cards = [folder / CARD_FILE, *sorted(folder.glob(f"*/{CARD_FILE}"))]
        here = [card.parent for card in cards if card.is_file()]
        if not here:
            raise OperatorError(f"{folder} holds no model bundle", exit_code=ExitCode.USAGE)
        found += here
    return found


def bundle_path(bundle: str) -> Path:
    """Return the folder of a bundle named on the command line, also one without a slash."""
    if (Path(bundle) / CARD_FILE).is_file():
        return Path(bundle)
    try:
        return parts.bundle_path(bundle)
    except ModelBundleError as error:
        raise OperatorError(str(error), exit_code=ExitCode.USAGE) from error


def _row(path: Path, card: ModelCard) -> tuple[str, ...]:
    return (
        card.name,
        card.version,
        card.task,
        card.architecture,
        _size(path),
        "yes" if card.demonstration else "no",
        str(path),
    )


def _size(path: Path) -> str:
    weights = path / WEIGHTS_FILE
    if not weights.is_file():
        return "weights missing"
    return f"{weights.stat().st_size / _MEGABYTE:.1f} MB"


def _tell_metric(name: str, value: object, *, depth: int = 0) -> None:
    """Print a score or a table of scores, one line each, those within others further right."""
    margin = "  " * depth
    if isinstance(value, Mapping):
        say(f"{margin}{name}:")
        for key, inner in value.items():
            _tell_metric(str(key), inner, depth=depth + 1)
    elif isinstance(value, list) and any(isinstance(item, Mapping) for item in value):
        for number, item in enumerate(value, start=1):
            _tell_metric(f"{name} {number}", item, depth=depth)
    else:
        say(f"{margin}{name}: {value}")


def _arguments(card: ModelCard) -> str:
    return ", ".join(
        f"{name}={_in_short(value)}" for name, value in card.architecture_arguments.items()
    )


def _in_short(value: object) -> object:
    """Return an argument as it is; of an ensemble's members what they are called."""
    if isinstance(value, list) and value and all(isinstance(one, Mapping) for one in value):
        return " and ".join(f"{one.get('name')} ({one.get('architecture')})" for one in value)
    return value


def _numbers(card: ModelCard) -> Iterator[tuple[str, str]]:
    """Yield the card's fields that hold numbers and are given."""
    for name in (
        "sampling",
        "spacing_zyx_mm",
        "patch_size_zyx",
        "input_size",
        "threshold",
        "probability_cutoff",
        "minimum_component_ml",
    ):
        value = getattr(card, name)
        if value is not None:
            yield name, " x ".join(map(str, value)) if isinstance(value, tuple) else str(value)
    if card.training_statistics is not None:
        known = (*card.training_statistics.measures, *card.training_statistics.traits)
        yield "training_statistics", ", ".join(one.value for one in known)
    if card.window is not None:
        level, width = card.window
        yield "window", f"level {level:g}, width {width:g} HU"
    if card.intensity is not None:
        scale = card.intensity
        window = f"{scale.clip_low_hu:g}..{scale.clip_high_hu:g} HU"
        yield "intensity", f"{window}, minus {scale.mean:g}, divided by {scale.sd:g}"
    for error in (card.volume_error, card.forecast_error):
        if error is not None:
            kind = "volume" if card.task == "segmentation" else "forecast"
            fitted = f"fitted on {error.patients} patients: {error.cohort}"
            yield f"95 % range of the {kind}", fitted
