"""``ichnode config``: the settings file is shown, changed, checked, compared and put back."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from dicom_node.bootstrap.roles import utc_now
from dicom_node.commands.configuration_desk import desk_of, done, make, operator, tell
from dicom_node.commands.screen import say, show_table
from dicom_node.commands.site import settings_of
from dicom_node.configuration.desk import ConfigurationDesk, UnknownChangeError
from dicom_node.configuration.edits import SetValue
from dicom_node.configuration.history import Change
from dicom_node.configuration.setting_keys import parsed_value
from dicom_node.operator_error import ExitCode, OperatorError
from dicom_node.settings.file import SettingsError
from dicom_node.settings.schema import Settings


def run_show(table: str | None, *, changed: bool, as_json: bool, config: Path | None) -> int:
    """Print the values that the file stands for, and which of them are no defaults."""
    path, settings = settings_of(config)
    if table is not None and table not in Settings.model_fields:
        known = ", ".join(Settings.model_fields)
        raise OperatorError(f"no table {table!r}; there are: {known}", exit_code=ExitCode.USAGE)
    if as_json:
        document = settings.model_dump(mode="json")
        _print({"file": str(path), "settings": {table: document[table]} if table else document})
        return ExitCode.OK
    rows = [
        (name, shown, "" if is_default else "set")
        for name, shown, is_default in _values(settings)
        if (table is None or name.split(".")[0] == table) and not (changed and is_default)
    ]
    show_table(("key", "value", ""), rows, title=str(path))
    return ExitCode.OK


def run_set(name: str, value: str | None, *, why: str, config: Path | None) -> int:
    """Give a key a value, or its default back."""
    table, dot, key = name.partition(".")
    if not dot:
        raise OperatorError(
            f"{name!r} is no key; they look like node.port", exit_code=ExitCode.USAGE
        )
    wanted = None if value is None else parsed_value(value)
    return make(config, [SetValue(table=table, key=key, value=wanted)], why=why)


def run_check(*, as_json: bool, config: Path | None) -> int:
    """Print every fault of the file."""
    desk = desk_of(config)
    try:
        faults = desk.read().faults
    except SettingsError as error:
        faults = error.faults
    if as_json:
        _print([{"key": one.key, "found": one.found, "expected": one.expected} for one in faults])
    else:
        for fault in faults:
            say(str(fault), style="red")
        number = len(faults)
        say(f"{desk.path}: {number or 'no'} fault{'s' if number != 1 else ''}")
    return ExitCode.USAGE if faults else ExitCode.OK


def run_history(number: int | None, *, limit: int, as_json: bool, config: Path | None) -> int:
    """Print who changed what when, or one change with its difference."""
    desk = desk_of(config)
    changes = _history(desk) if number is None else (_change(desk, number),)
    if as_json:
        _print([change.as_dict() for change in changes])
        return ExitCode.OK
    if number is not None:
        (change,) = changes
        say(f"change {change.change_id} of {_moment(change)} by {change.who}: {change.why}")
        sys.stdout.write(change.diff)
        return ExitCode.OK
    rows = [
        (str(one.change_id), _moment(one), one.who, ", ".join(one.tables), one.why)
        for one in reversed(changes[-limit:])
    ]
    show_table(("change", "at", "who", "tables", "why"), rows, title=str(desk.path))
    return ExitCode.OK


def run_diff(number: int | None, *, config: Path | None) -> int:
    """Print what has changed since a change, or since the last one that is known."""
    desk = desk_of(config)
    if number is None:
        known = desk.history()
        if not known:
            raise OperatorError(f"no change of {desk.path} is known yet")
        number = known[-1].change_id
    try:
        sys.stdout.write(desk.diff(number))
    except UnknownChangeError as error:
        raise OperatorError(str(error), exit_code=ExitCode.USAGE) from error
    return ExitCode.OK


def run_rollback(number: int | None, *, why: str, config: Path | None) -> int:
    """Make the file again what it was after a change, or before the last one."""
    desk = desk_of(config)
    if number is None:
        known = _history(desk)
        if len(known) < 2:  # noqa: PLR2004 - the last one and the one before
            raise OperatorError(f"there is no change of {desk.path} to take back")
        number = known[-2].change_id
    wanted = number
    change = done(lambda: desk.roll_back(wanted, who=operator(), why=why, now=utc_now()))
    if change is None:
        say(f"{desk.path} says that already")
    else:
        tell(change, desk.path)
    return ExitCode.OK


def _history(desk: ConfigurationDesk) -> tuple[Change, ...]:
    """Return every version; one that an editor made since is kept first, if that can be."""
    try:
        desk.observe(utc_now())
    except SettingsError as error:
        say(str(error), style="yellow")
    return desk.history()


def _change(desk: ConfigurationDesk, number: int) -> Change:
    try:
        return desk.show(number)
    except UnknownChangeError as error:
        raise OperatorError(str(error), exit_code=ExitCode.USAGE) from error


def _values(settings: Settings) -> Iterator[tuple[str, str, bool]]:
    """Yield every key, its value as TOML writes it, and whether it is the default."""
    defaults = Settings()
    for table in Settings.model_fields:
        found, default = getattr(settings, table), getattr(defaults, table)
        if isinstance(found, BaseModel):
            for key in type(found).model_fields:
                value = getattr(found, key)
                yield f"{table}.{key}", _shown(value), value == getattr(default, key)
        for number, entry in enumerate(found if isinstance(found, tuple) else (), start=1):
            for key in entry.model_fields_set:
                yield f"{table}[{number}].{key}", _shown(getattr(entry, key)), False


def _shown(value: Any) -> str:  # noqa: ANN401 - whatever a setting may be
    def plain(one: Any) -> Any:  # noqa: ANN401
        if isinstance(one, BaseModel):
            return one.model_dump(mode="json", exclude_defaults=True)
        return str(one)

    return json.dumps(value, default=plain, ensure_ascii=False)


def _moment(change: Change) -> str:
    return change.at.astimezone().isoformat(sep=" ", timespec="seconds")


def _print(document: object) -> None:
    sys.stdout.write(json.dumps(document, indent=2) + "\n")
