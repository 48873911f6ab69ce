"""The desk at which commands change the settings file, and who sits at it."""

import getpass
import os
from pathlib import Path

from dicom_node.configuration.desk import ConfigurationDesk


def configuration_desk(path: Path) -> ConfigurationDesk:
    """Return the desk of a settings file, in the environment of this process."""
    return ConfigurationDesk(path, environment=os.environ)


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
