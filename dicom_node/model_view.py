"""A model as people read it: what its card says, the same for the command and the pages."""

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from dicom_node.model_scores import CohortScores, scores_of, tells_of_simulation
from pipeline.model_bundle import WEIGHTS_FILE, load_card
from pipeline.model_card import ModelCard

_MEGABYTE: Final = 10**6

#: Fields of a card that are numbers to be read beside their name.
_NUMBERS: Final = (
    "sampling",
    "spacing_zyx_mm",
    "patch_size_zyx",
    "input_size",
    "threshold",
    "probability_cutoff",
    "minimum_component_ml",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelView:
    """What people are told of a model.

    Attributes
    ----------
    bundle : str
        What the settings call it: the name of a shipped bundle, or a folder.
    name, version, task, architecture : str
        Of its card.
    size : str
        Of its weights.
    demonstration : bool
        Whether it only shows that the line works.
    simulated : bool
        Whether its card names simulated data among those that it learned from.
    weights_sha256 : str
        Digest of its weights.
    training_cohort, licence, intended_use : str
        Of its card.
    facts : tuple of (str, str)
        What else the card states, each with its name.
    scores : tuple of CohortScores
        How good it was, by the data.
    """

    bundle: str
    name: str
    version: str
    task: str
    architecture: str
    size: str
    demonstration: bool
    simulated: bool
    weights_sha256: str
    training_cohort: str
    licence: str
    intended_use: str
    facts: tuple[tuple[str, str], ...]
    scores: tuple[CohortScores, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return the view for JSON."""
        return dataclasses.asdict(self)


def model_view(path: Path, *, bundle: str) -> ModelView:
    """Return what people are told of the model in a folder. Raises ModelBundleError."""
    card = load_card(path)
    return ModelView(
        bundle=bundle,
        name=card.name,
        version=card.version,
        task=card.task,
        architecture=card.architecture,
        size=size_of(path),
        demonstration=card.demonstration,
        simulated=tells_of_simulation(card.training_cohort),
        weights_sha256=card.weights_sha256,
        training_cohort=card.training_cohort,
        licence=card.licence,
        intended_use=card.intended_use,
        facts=tuple(facts_of(card)),
        scores=scores_of(card.metrics, training_cohort=card.training_cohort),
    )


def size_of(path: Path) -> str:
    """Return how large the weights in a folder are, in words."""
    weights = path / WEIGHTS_FILE
    if not weights.is_file():
        return "weights missing"
    return f"{weights.stat().st_size / _MEGABYTE:.1f} MB"


def facts_of(card: ModelCard) -> Iterator[tuple[str, str]]:
    """Yield what a card states beside identity, training, scores and terms, with its name."""
    if arguments := _arguments(card):
        yield "built with", arguments
    yield "classes", ", ".join(card.class_names)
    for name in _NUMBERS:
        value = getattr(card, name)
        if value is not None:
            told = " x ".join(map(str, value)) if isinstance(value, tuple) else str(value)
            yield name.replace("_", " "), told
    if card.training_statistics is not None:
        known = (*card.training_statistics.measures, *card.training_statistics.traits)
        yield "training statistics", ", ".join(one.value for one in known)
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


def _arguments(card: ModelCard) -> str:
    return ", ".join(
        f"{name}={_in_short(value)}" for name, value in card.architecture_arguments.items()
    )


def _in_short(value: object) -> object:
    """Return an argument as it is; of an ensemble's members what they are called."""
    if isinstance(value, list) and value and all(isinstance(one, Mapping) for one in value):
        return " and ".join(f"{one.get('name')} ({one.get('architecture')})" for one in value)
    return value
