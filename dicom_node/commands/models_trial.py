"""``ichnode models shadow`` and ``promote``: models are tried beside others, then take over."""

import json
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import typer

from dicom_node.bootstrap.layout import DataLayout
from dicom_node.bootstrap.ledgers import ledger_for_reading
from dicom_node.bootstrap.roles import utc_now
from dicom_node.bootstrap.shadow import has_shadow, shadow_settings
from dicom_node.bootstrap.watch import NodeWatch
from dicom_node.commands.configuration_desk import configuration_desk, operator
from dicom_node.commands.models import bundle_path
from dicom_node.commands.screen import say, show_table
from dicom_node.commands.site import settings_of
from dicom_node.configuration.desk import NothingToChangeError
from dicom_node.configuration.edits import SetValue
from dicom_node.operator_error import ExitCode, OperatorError
from dicom_node.settings.file import SettingsError
from dicom_node.settings.schema import Settings
from dicom_node.watch.view import shadow_section
from pipeline.errors import ModelBundleError
from pipeline.model_bundle import load_card
from pipeline.model_card import ModelCard

#: Tasks that can be tried, and the key of the model in use; that on trial has "shadow_" before it.
_KEYS: Mapping[str, str] = {
    "segmentation": "segmentation_bundle",
    "classification": "classification_bundle",
}


def run_shadow(bundles: Sequence[str], *, off: bool, config: Path | None) -> int:
    """Put models on trial, or end the trial."""
    if off == bool(bundles):
        raise OperatorError("name one or two bundles, or say --off", exit_code=ExitCode.USAGE)
    path, settings = settings_of(config)
    values = {f"shadow_{key}": "" for key in _KEYS.values()}
    for name in bundles:
        place = _place_of(name)
        card = _card(place)
        key = f"shadow_{_KEYS[card.task]}"
        if values[key]:
            raise OperatorError(f"two bundles are for {card.task}", exit_code=ExitCode.USAGE)
        values[key] = place
        if card.weights_sha256 == _card(_current(settings, card.task)).weights_sha256:
            raise OperatorError(f"{name} has the weights that are in use already")
    if not off:
        _check_models(_with_worker(settings, values))
    _change(path, settings, values, event="trial ended" if off else "on trial")
    if off:
        say("no model is on trial any more")
    else:
        say("on trial: every new analysis is repeated by these models, and nothing of it is sent")
        say("what they say: ichnode watch; to take them over: ichnode models promote")
    _tell_when()
    return ExitCode.OK


def run_promote(*, yes: bool, config: Path | None) -> int:
    """Let the models on trial take over, once the operator has seen the comparison."""
    path, settings = settings_of(config)
    if not has_shadow(settings):
        raise OperatorError(
            "no model is on trial; ichnode models shadow BUNDLE puts one", exit_code=ExitCode.USAGE
        )
    _check_models(settings)
    _show_cards(settings)
    _show_comparison(settings)
    if not yes and not _asked():
        say("nothing was changed")
        return ExitCode.FAILED
    values = {f"shadow_{key}": "" for key in _KEYS.values()}
    for key in _KEYS.values():
        on_trial = getattr(settings.worker, f"shadow_{key}")
        if on_trial:
            values[key] = on_trial
    _change(path, settings, values, event="promoted")
    say("the models on trial have taken over; results of earlier series stay as they are")
    _tell_when()
    return ExitCode.OK


def _place_of(name: str) -> str:
    """Return what to write into the settings: the name of a shipped bundle, or a whole path."""
    path = bundle_path(name)
    return str(path.absolute()) if path == Path(name).expanduser() else name


def _card(name: str) -> ModelCard:
    try:
        card = load_card(bundle_path(name))
    except ModelBundleError as error:
        raise OperatorError(str(error)) from error
    if card.task not in _KEYS:
        raise OperatorError(
            f"{name} is for {card.task}; only {' and '.join(_KEYS)} can be tried",
            exit_code=ExitCode.USAGE,
        )
    return card


def _current(settings: Settings, task: str) -> str:
    return str(getattr(settings.worker, _KEYS[task]))


def _with_worker(settings: Settings, values: Mapping[str, str]) -> Settings:
    return settings.model_copy(update={"worker": settings.worker.model_copy(update=dict(values))})


def _check_models(settings: Settings) -> None:
    """Load the models on trial as the worker would, and let them see something once.

    Raises
    ------
    OperatorError
        If they cannot be used.
    """
    from dicom_node.bootstrap.node_models import load_node_models

    try:
        load_node_models(shadow_settings(settings)).warm_up()
    except (ModelBundleError, RuntimeError, OSError) as error:
        raise OperatorError(f"the models on trial cannot be used: {error}") from error


def _show_cards(settings: Settings) -> None:
    rows = []
    for task, key in _KEYS.items():
        on_trial = getattr(settings.worker, f"shadow_{key}")
        if not on_trial:
            continue
        for role, name in (("in use", _current(settings, task)), ("on trial", on_trial)):
            card = _card(name)
            kind = "demonstration" if card.demonstration else ""
            rows.append((task, role, f"{card.name} {card.version}", card.architecture, kind))
    show_table(("task", "", "model", "architecture", "kind"), rows)


def _show_comparison(settings: Settings) -> None:
    """Print what both have said of the same scans, as far as the ledger knows it."""
    try:
        with ledger_for_reading(settings) as ledger:
            shadows = NodeWatch(ledger.database, settings).look().report.shadows
    except OperatorError as error:
        say(str(error))
        return
    wanted = {
        _card(getattr(settings.worker, f"shadow_{key}")).weights_sha256
        for key in _KEYS.values()
        if getattr(settings.worker, f"shadow_{key}")
    }
    told = [one for one in shadows if wanted <= one.shadow.weights]
    for one in told:
        section = shadow_section(one)
        show_table(section.headers, section.rows, title=section.title)
        for note in section.notes:
            say(note)
    if not told:
        say("these models have not seen any scan beside those in use", style="yellow")


def _asked() -> bool:
    if not sys.stdin.isatty():
        raise OperatorError("say --yes where nobody can be asked", exit_code=ExitCode.USAGE)
    return typer.confirm("Let them take over?", default=False)


def _change(path: Path, settings: Settings, values: Mapping[str, str], *, event: str) -> None:
    """Write the settings, keep the old ones, and note it in the node's history of models."""
    now = utc_now()
    edits = [SetValue(table="worker", key=key, value=value) for key, value in values.items()]
    try:
        change = configuration_desk(path).change(edits, who=operator(), why=event, now=now)
    except SettingsError as error:
        raise OperatorError(str(error)) from error
    except NothingToChangeError:
        say(f"{path} says that already")
    else:
        say(f"{path} changed (change {change.change_id}); ichnode config history has it as it was")
    _note(settings, values, event=event, now=now)


def _note(settings: Settings, values: Mapping[str, str], *, event: str, now: datetime) -> None:
    before = settings.worker.model_dump()
    models: dict[str, Any] = {
        key: {"from": before[key], "to": value}
        for key, value in values.items()
        if before[key] != value
    }
    for change in models.values():
        if change["to"]:
            change["weights_sha256"] = _card(change["to"]).weights_sha256
    line = json.dumps({"at": now.isoformat(timespec="seconds"), "event": event, "models": models})
    history = DataLayout(root=settings.node.data_dir).model_history
    try:
        history.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with history.open("a", encoding="utf-8") as stream:
            stream.write(line + "\n")
    except OSError as error:
        say(f"{history} could not be written: {error.strerror}", style="yellow")


def _tell_when() -> None:
    say("a running worker loads the models before its next job")
