"""``ichnode models shadow`` and ``promote``: models are tried beside others, then take over."""

import sys
from collections.abc import Sequence
from pathlib import Path

import typer

from dicom_node.bootstrap.ledgers import ledger_for_reading
from dicom_node.bootstrap.model_trial import (
    KEYS,
    SENTENCES,
    WHEN,
    ModelChoiceError,
    NothingOnTrialError,
    TrialStep,
    bundle_name,
    card_of,
    in_use,
    on_trial,
    plan_end,
    plan_promotion,
    plan_trial,
    write_step,
)
from dicom_node.bootstrap.model_warm_up import UnusableModelsError, try_models
from dicom_node.bootstrap.roles import utc_now
from dicom_node.bootstrap.watch import NodeWatch
from dicom_node.commands.configuration_desk import configuration_desk, operator
from dicom_node.commands.screen import say, show_table
from dicom_node.commands.site import settings_of
from dicom_node.errors import NodeError
from dicom_node.operator_error import ExitCode, OperatorError
from dicom_node.settings.file import SettingsError
from dicom_node.settings.schema import Settings
from dicom_node.watch.view import shadow_section


def run_shadow(bundles: Sequence[str], *, off: bool, config: Path | None) -> int:
    """Put models on trial, or end the trial."""
    if off == bool(bundles):
        raise OperatorError("name one or two bundles, or say --off", exit_code=ExitCode.USAGE)
    path, settings = settings_of(config)
    try:
        step = plan_end() if off else plan_trial(settings, [bundle_name(one) for one in bundles])
    except ModelChoiceError as error:
        raise OperatorError(str(error), exit_code=ExitCode.USAGE) from error
    except UnusableModelsError as error:
        raise OperatorError(str(error)) from error
    _check(step)
    _write(path, settings, step)
    if not off:
        say("what they say: ichnode watch; to take them over: ichnode models promote")
    say(WHEN)
    return ExitCode.OK


def run_promote(*, yes: bool, config: Path | None) -> int:
    """Let the models on trial take over, once the operator has seen the comparison."""
    path, settings = settings_of(config)
    try:
        step = plan_promotion(settings)
    except NothingOnTrialError as error:
        raise OperatorError(str(error), exit_code=ExitCode.USAGE) from error
    _check(step)
    _show_cards(settings)
    _show_comparison(settings)
    if not yes and not _asked():
        say("nothing was changed")
        return ExitCode.FAILED
    _write(path, settings, step)
    say(WHEN)
    return ExitCode.OK


def _check(step: TrialStep) -> None:
    """Load the models of a step as the worker would, and let them see something once.

    Raises
    ------
    OperatorError
        If they cannot be used.
    """
    if step.loads is None:
        return
    try:
        try_models(step.loads)
    except NodeError as error:
        raise OperatorError(str(error)) from error


def _write(path: Path, settings: Settings, step: TrialStep) -> None:
    """Write a step into the settings, keep the old ones, and say what has happened."""
    now, who = utc_now(), operator()
    desk = configuration_desk(path)
    try:
        change = write_step(
            step,
            settings=settings,
            change=lambda edits: desk.change(edits, who=who, why=step.event, now=now),
            who=who,
            now=now,
        )
    except (SettingsError, NodeError) as error:
        raise OperatorError(str(error)) from error
    if change is None:
        say(f"{path} says that already")
    else:
        say(f"{path} changed (change {change.change_id}); ichnode config history has it as it was")
    say(SENTENCES[step.event])


def _show_cards(settings: Settings) -> None:
    rows = []
    for task in KEYS:
        tried = on_trial(settings, task)
        if not tried:
            continue
        for role, name in (("in use", in_use(settings, task)), ("on trial", tried)):
            card = card_of(name)
            kind = "demonstration" if card.demonstration else ""
            rows.append((task, role, f"{card.name} {card.version}", card.architecture, kind))
    show_table(("task", "", "model", "architecture", "kind"), rows)


def _show_comparison(settings: Settings) -> None:
    """Print what both have said of the same scans, as far as the ledger knows it."""
    try:
        with ledger_for_reading(settings) as ledger:
            told = NodeWatch(ledger.database, settings).trial(settings)
    except OperatorError as error:
        say(str(error))
        return
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
