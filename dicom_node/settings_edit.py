"""Changing a settings file as its owner would: comments stay, and the old file is kept."""

import os
import shutil
import tempfile
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import tomlkit
from tomlkit.exceptions import TOMLKitError

from dicom_node.settings_contradictions import SettingsFault
from dicom_node.settings_file import SettingsError, parse_settings


def change_settings(path: Path, table: str, values: Mapping[str, str], *, now: datetime) -> Path:
    """Set keys of one table in a settings file; return where the file as it was is kept.

    Layout, comments and order stay. The new file is checked before it takes the old one's place,
    at one stroke, so that a node that starts meanwhile reads one or the other.

    Parameters
    ----------
    path
        The settings file; a link is followed.
    table
        Name of the table; added at the end if the file lacks it.
    values
        Text by key.
    now
        Part of the name of the copy.

    Raises
    ------
    SettingsError
        If the file cannot be read or written, or would not be valid afterwards.
    """
    target = path.resolve()
    try:
        document = tomlkit.parse(target.read_text(encoding="utf-8"))
        section = document.get(table)
        if section is None:
            section = document[table] = tomlkit.table()
        for key, value in values.items():
            section[key] = value
        text = tomlkit.dumps(document)
        parse_settings(document.unwrap(), source=str(path), environment={})
        kept = _free_name(target, now)
        shutil.copy2(target, kept)
        _replace(target, text)
    except (OSError, UnicodeDecodeError, TOMLKitError) as error:
        fault = SettingsFault(key="file", found=str(error), expected="a file that can be changed")
        raise SettingsError(str(path), (fault,)) from error
    return kept


def _free_name(target: Path, now: datetime) -> Path:
    """Return a name beside the file that nothing has yet; names sort as the copies were made."""
    stem = f"{target.name}.{now:%Y%m%dT%H%M%S}"
    for number in range(1000):
        kept = target.with_name(f"{stem}-{number:03}.bak")
        if not kept.exists():
            return kept
    raise FileExistsError(f"{stem}: too many copies")


def _replace(target: Path, text: str) -> None:
    """Write a file's new content durably, with the rights that it had."""
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    partial = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        shutil.copymode(target, partial)
        partial.replace(target)
    except OSError:
        partial.unlink(missing_ok=True)
        raise
