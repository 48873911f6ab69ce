"""The desk at which commands change the settings file, and what they say about a change."""

import getpass
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from dicom_node.bootstrap.roles import utc_now
from dicom_node.commands.screen import say
from dicom_node.configuration.desk import ConfigurationDesk, NothingToChangeError
from dicom_node.configuration.edits import Edit, SetValue
from dicom_node.configuration.effects import effect_of
from dicom_node.configuration.history import Change
from dicom_node.errors import NodeError
from dicom_node.operator_error import ExitCode, OperatorError
from dicom_node.settings.file import SettingsError, find_settings_file


def desk_of(config: Path | None) -> ConfigurationDesk:
    """Return the desk of the settings file in use, faulty or not.

    Raises
    ------
    OperatorError
        If there is none.
    """
    try:
        return configuration_desk(find_settings_file(config, os.environ))
    except SettingsError as error:
        raise OperatorError(str(error), exit_code=ExitCode.USAGE) from error


def configuration_desk(path: Path) -> ConfigurationDesk:
    """Return the desk of a settings file, in the environment of this process."""
    return ConfigurationDesk(path, environment=os.environ)


def make(config: Path | None, edits: Sequence[Edit], *, why: str = "") -> int:
    """Make edits and say what became of them; the exit code of the command.

    Raises
    ------
    OperatorError
        Naming every fault that the file would have.
    """
    desk = desk_of(config)
    change = done(lambda: desk.change(edits, who=operator(), why=why, now=utc_now()))
    if change is None:
        say(f"{desk.path} says that already")
        return ExitCode.OK
    tell(change, desk.path)
    for effect in dict.fromkeys(_effect(edit) for edit in edits):
        say(f"takes effect {effect}")
    return ExitCode.OK


def done(action: Callable[[], Change]) -> Change | None:
    """Return the change that an action makes, None if there was nothing to change.

    Raises
    ------
    OperatorError
        In the words of whatever refused.
    """
    try:
        return action()
    except NothingToChangeError:
        return None
    except SettingsError as error:
        raise OperatorError(str(error), exit_code=ExitCode.USAGE) from error
    except NodeError as error:
        raise OperatorError(str(error)) from error


def tell(change: Change, path: Path) -> None:
    """Print what was changed."""
    for line in change.diff.splitlines():
        if line.startswith(("+", "-")) and not line.startswith(("+++", "---")):
            say(line, style="green" if line.startswith("+") else "red")
    say(f"{path} changed, change {change.change_id}; ichnode config rollback undoes it")


def operator() -> str:
    """Return who calls the command, as the history names them.

    Behind ``sudo`` it is the person, not root.
    """
    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # an account without a name, as in some containers
        name = f"user {os.getuid()}"
    person = os.environ.get("SUDO_USER", "")
    return f"{person} as {name}" if person and person != name else name


def _effect(edit: Edit) -> str:
    if isinstance(edit, SetValue):
        return effect_of(edit.table, edit.key)
    table, _, key = edit.array.partition(".")
    return effect_of(table, key)
