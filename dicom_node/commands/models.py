"""``ichnode models list`` and ``show``: which models there are, and what their cards say."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from dicom_node.bootstrap import parts
from dicom_node.commands.screen import say, show_table
from dicom_node.model_scores import scores_of, tells_of_simulation
from dicom_node.model_view import facts_of, size_of
from dicom_node.operator_error import ExitCode, OperatorError
from pipeline.errors import ModelBundleError
from pipeline.model_bundle import CARD_FILE, builtin_bundle_paths, load_card
from pipeline.model_card import ModelCard

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
            rows.append(("unreadable", "", "", "", size_of(path), "", str(path)))
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
    simulated = tells_of_simulation(card.training_cohort)
    rows = [
        ("folder", str(path)),
        ("name", f"{card.name} {card.version}"),
        ("task", card.task),
        ("architecture", card.architecture),
        ("weights", f"{size_of(path)}, SHA-256 {card.weights_sha256}"),
        ("demonstration only", "yes" if card.demonstration else "no"),
        ("names simulated data in its training", "YES" if simulated else "no"),
        *facts_of(card),
    ]
    show_table(("field", "value"), rows, title="Model card")
    for name in _LONG_FIELDS:
        say(f"{name.replace('_', ' ')}: {getattr(card, name)}")
    for cohort in scores_of(card.metrics, training_cohort=card.training_cohort):
        say(f"{cohort.name}{' (SIMULATED DATA)' if cohort.simulated else ''}:")
        for line in cohort.lines:
            say(f"  {line.what}: {line.found}" if line.what else f"  {line.found}")
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
        size_of(path),
        "yes" if card.demonstration else "no",
        str(path),
    )
