"""Models are tried beside those in use, then take over: the same for the command and the pages.

A step is planned by the settings as they are, which is quick and refuses what makes no sense; then
its models are loaded and warmed up, which takes a while; then it is written into the settings
file. A step whose models cannot be used changes nothing.
"""

import json
import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from dicom_node.bootstrap import parts
from dicom_node.bootstrap.layout import DataLayout
from dicom_node.bootstrap.model_warm_up import UnusableModelsError
from dicom_node.bootstrap.shadow import has_shadow, shadow_settings
from dicom_node.configuration.desk import NothingToChangeError
from dicom_node.configuration.edits import Edit, SetValue
from dicom_node.configuration.history import Change
from dicom_node.errors import NodeError
from dicom_node.settings.schema import Settings
from dicom_node.web.model_source import ModelEvent, WrongMomentError
from pipeline.errors import ModelBundleError
from pipeline.model_bundle import CARD_FILE, load_card
from pipeline.model_card import ModelCard

LOGGER = logging.getLogger(__name__)

#: Tasks that can be tried, and the key of the model in use; that on trial has "shadow_" before it.
KEYS: Final[Mapping[str, str]] = {
    "segmentation": "segmentation_bundle",
    "classification": "classification_bundle",
}


class TrialEvent(StrEnum):
    """What happens to models. The values stand in history files."""

    ON_TRIAL = "on trial"
    ENDED = "trial ended"
    PROMOTED = "promoted"


#: What is said once it has happened.
SENTENCES: Final[Mapping[TrialEvent, str]] = {
    TrialEvent.ON_TRIAL: (
        "on trial: every new analysis is repeated by these models, and nothing of it is sent"
    ),
    TrialEvent.ENDED: "no model is on trial any more",
    TrialEvent.PROMOTED: (
        "the models on trial have taken over; results of earlier series stay as they are"
    ),
}

#: When the worker follows.
WHEN: Final = "a running worker loads the models before its next job"


class ModelChoiceError(NodeError):
    """Models that were named cannot be tried, whatever they are worth; says why."""


class NothingOnTrialError(WrongMomentError):
    """There is no trial that could be promoted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialStep:
    """Something that is going to happen to models.

    Attributes
    ----------
    event : TrialEvent
        What.
    values : Mapping
        Keys of the table ``worker`` and what they shall be.
    loads : Settings or None
        Settings whose models have to be usable before; None if nothing needs to be loaded.
    """

    event: TrialEvent
    values: Mapping[str, str]
    loads: Settings | None


def plan_trial(settings: Settings, bundles: Sequence[str]) -> TrialStep:
    """Return the step that puts models on trial, one for a task.

    Raises
    ------
    ModelChoiceError
        If there is no such model, it is for another task or in use already, or two are for one.
    UnusableModelsError
        If a card cannot be read.
    """
    if not bundles:
        raise ModelChoiceError("name one or two bundles")
    values = _nothing_on_trial()
    for name in bundles:
        card = card_of(name)
        key = f"shadow_{KEYS[card.task]}"
        if values[key]:
            raise ModelChoiceError(f"two bundles are for {card.task}")
        values[key] = name
        if card.weights_sha256 == card_of(in_use(settings, card.task)).weights_sha256:
            raise ModelChoiceError(f"{name} has the weights that are in use already")
    worker = settings.worker.model_copy(update=dict(values))
    tried = shadow_settings(settings.model_copy(update={"worker": worker}))
    return TrialStep(event=TrialEvent.ON_TRIAL, values=values, loads=tried)


def plan_end() -> TrialStep:
    """Return the step that ends a trial."""
    return TrialStep(event=TrialEvent.ENDED, values=_nothing_on_trial(), loads=None)


def plan_promotion(settings: Settings) -> TrialStep:
    """Return the step by which the models on trial take over.

    Raises
    ------
    NothingOnTrialError
        If there are none.
    """
    if not has_shadow(settings):
        raise NothingOnTrialError("no model is on trial; ichnode models shadow BUNDLE puts one")
    promoted = {key: name for task, key in KEYS.items() if (name := on_trial(settings, task))}
    return TrialStep(
        event=TrialEvent.PROMOTED,
        values=_nothing_on_trial() | promoted,
        loads=shadow_settings(settings),
    )


def write_step(
    step: TrialStep,
    *,
    settings: Settings,
    change: Callable[[Sequence[Edit]], Change],
    who: str,
    now: datetime,
) -> Change | None:
    """Write a step into the settings file and into the node's history of models.

    Parameters
    ----------
    step
        Whose models were tried.
    settings
        By which it was planned.
    change
        Makes the edits.
    who, now
        For the history of models.

    Returns
    -------
    Change or None
        None if the file says so already.

    Raises
    ------
    SettingsError, NodeError
        As `change` does; then nothing has happened.
    """
    edits = [SetValue(table="worker", key=key, value=value) for key, value in step.values.items()]
    try:
        made = change(edits)
    except NothingToChangeError:
        return None
    _note(settings, step, who=who, now=now)
    return made


def model_history(settings: Settings, *, most: int) -> tuple[ModelEvent, ...]:
    """Return what happened to the models, the latest first, without damaged lines."""
    path = DataLayout(root=settings.node.data_dir).model_history
    try:
        with path.open(encoding="utf-8", errors="replace") as stream:
            lines = deque(stream, maxlen=most)
    except OSError:
        return ()
    return tuple(event for line in reversed(lines) if (event := _event(line)) is not None)


def _event(line: str) -> ModelEvent | None:
    """Return what a line of the history says, None if it is damaged."""
    try:
        told = json.loads(line)
        at = datetime.fromisoformat(told["at"])
        models = tuple((str(key), str(one["to"])) for key, one in told["models"].items())
        event, who = str(told["event"]), str(told.get("who", ""))
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
    if at.tzinfo is None:
        return None
    return ModelEvent(at=at, event=event, who=who, models=models)


def bundle_name(name: str) -> str:
    """Return what to write into the settings: the name of a shipped bundle, or a whole path.

    Raises
    ------
    ModelChoiceError
        If there is no such bundle.
    """
    if (Path(name) / CARD_FILE).is_file():
        return str(Path(name).absolute())
    path = folder_of(name)
    return str(path.absolute()) if path == Path(name).expanduser() else name


def folder_of(name: str) -> Path:
    """Return the folder of a bundle. Raises ModelChoiceError."""
    try:
        return parts.bundle_path(name)
    except ModelBundleError as error:
        raise ModelChoiceError(str(error)) from error


def card_of(name: str) -> ModelCard:
    """Return the card of a bundle that can be tried.

    Raises
    ------
    ModelChoiceError
        If there is no such bundle, or it is for another task.
    UnusableModelsError
        If its card cannot be read.
    """
    try:
        card = load_card(folder_of(name))
    except ModelBundleError as error:
        raise UnusableModelsError(str(error)) from error
    if card.task not in KEYS:
        raise ModelChoiceError(
            f"{name} is for {card.task}; only {' and '.join(KEYS)} can be tried"
        )
    return card


def in_use(settings: Settings, task: str) -> str:
    """Return the bundle that is in use for a task."""
    return str(getattr(settings.worker, KEYS[task]))


def on_trial(settings: Settings, task: str) -> str:
    """Return the bundle that is on trial for a task, empty if there is none."""
    return str(getattr(settings.worker, f"shadow_{KEYS[task]}"))


def _nothing_on_trial() -> dict[str, str]:
    return {f"shadow_{key}": "" for key in KEYS.values()}


def _note(settings: Settings, step: TrialStep, *, who: str, now: datetime) -> None:
    before = settings.worker.model_dump()
    models: dict[str, Any] = {
        key: {"from": before[key], "to": value}
        for key, value in step.values.items()
        if before[key] != value
    }
    for change in models.values():
        if change["to"]:
            change["weights_sha256"] = card_of(change["to"]).weights_sha256
    event = {"at": now.isoformat(timespec="seconds"), "event": step.event, "who": who}
    history = DataLayout(root=settings.node.data_dir).model_history
    try:
        history.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with history.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps({**event, "models": models}) + "\n")
    except OSError as error:
        LOGGER.warning("%s could not be written: %s", history, error.strerror)
