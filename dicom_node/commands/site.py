"""The settings that a command works with."""

import os
from pathlib import Path

from dicom_node.operator_error import ExitCode, OperatorError
from dicom_node.settings.file import SettingsError, find_settings_file, load_settings
from dicom_node.settings.schema import PeerSettings, Settings


def settings_of(config: Path | None) -> tuple[Path, Settings]:
    """Return the settings file in use and what it says.

    Raises
    ------
    OperatorError
        Naming every fault of the file.
    """
    try:
        path = find_settings_file(config, os.environ)
        return path, load_settings(path, os.environ)
    except SettingsError as error:
        raise OperatorError(str(error), exit_code=ExitCode.USAGE) from error


def peer_named(settings: Settings, name: str) -> PeerSettings:
    """Return the peer of that name.

    Raises
    ------
    OperatorError
        Listing the names there are.
    """
    for peer in settings.peers:
        if peer.name == name:
            return peer
    known = ", ".join(peer.name for peer in settings.peers)
    raise OperatorError(
        f"no peer is called {name!r}; "
        + (f"the settings know: {known}" if known else "the settings file names no peers at all"),
        exit_code=ExitCode.USAGE,
    )
